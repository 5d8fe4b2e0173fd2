//! The encoding of payloads: numbers, texts and lists, each length checked against what is there.

use crate::ProtocolError;

/// Builds a payload.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty payload.
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Text with its length.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self
    }

    /// Bytes with their length.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    /// A list with its length, each item written by `write`.
    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u32(items.len() as u32);
        for item in items {
            write(self, item);
        }
        self
    }

    /// A list of texts.
    pub fn strs<T: AsRef<str>>(&mut self, texts: &[T]) -> &mut Self {
        self.list(texts, |out, text| {
            out.str(text.as_ref());
        })
    }

    /// A list of pairs of texts.
    pub fn pairs(&mut self, pairs: &[(String, String)]) -> &mut Self {
        self.list(pairs, |out, (one, other)| {
            out.str(one).str(other);
        })
    }

    /// The payload.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a payload.
#[derive(Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

type Result<T> = std::result::Result<T, ProtocolError>;

impl<'a> Reader<'a> {
    /// A reader at the start of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    fn take(&mut self, wanted: usize) -> Result<&'a [u8]> {
        let piece = self
            .at
            .checked_add(wanted)
            .and_then(|end| self.data.get(self.at..end))
            .ok_or(ProtocolError::ShortPayload {
                len: self.data.len(),
                at: self.at,
                wanted,
            })?;
        self.at += wanted;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives N bytes"))
    }

    /// One byte.
    ///
    /// # Errors
    /// If the payload has ended.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes with their length.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn blob(&mut self) -> Result<Vec<u8>> {
        let len = self.u32()? as usize;
        Ok(self.take(len)?.to_vec())
    }

    /// Text.
    ///
    /// # Errors
    /// If the payload ends before, or it isn't UTF-8.
    pub fn str(&mut self) -> Result<String> {
        let len = self.u32()? as usize;
        Ok(std::str::from_utf8(self.take(len)?)?.to_owned())
    }

    /// A list, each item read by `read`. Memory grows only with items that are there.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()? as usize;
        let mut items = Vec::with_capacity(count.min(self.data.len() - self.at));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A list of texts.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn strs(&mut self) -> Result<Vec<String>> {
        self.list(Self::str)
    }

    /// A list of pairs of texts.
    ///
    /// # Errors
    /// If the payload ends before.
    pub fn pairs(&mut self) -> Result<Vec<(String, String)>> {
        self.list(|data| Ok((data.str()?, data.str()?)))
    }

    /// Makes sure that nothing is left over.
    ///
    /// # Errors
    /// If something is.
    pub fn end(&self) -> Result<()> {
        match self.data.len() - self.at {
            0 => Ok(()),
            left => Err(ProtocolError::TrailingPayload(left)),
        }
    }
}
