//! The encoding of serialised blobs (graph, payloads of the index), in one place so that it can be replaced in one place.
//!
//! The encoding is bincode 2 with its standard configuration (little-endian, variable-length integers). bincode is no longer
//! developed; should it ever need a fix, `postcard` takes the same `serde` types, and a new format version in the files'
//! headers makes old blobs read as invalid, which costs one rebuild.

use serde::{Serialize, de::DeserializeOwned};

/// A blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The value can't be expressed in the format.
    #[error("the value can't be encoded")]
    Encode(#[source] bincode::error::EncodeError),
    /// The bytes aren't an encoding of the type.
    #[error("the bytes aren't a valid encoding")]
    Decode(#[source] bincode::error::DecodeError),
    /// A value was decoded, and bytes were left over.
    #[error("{0} bytes are left over after the value")]
    TrailingBytes(usize),
}

/// The bound on what one blob may make the decoder allocate: 1 GiB.
const LIMIT: usize = 1 << 30;

/// The serialised form of `value`.
///
/// # Errors
/// [`BlobError::Encode`] if the type holds something that the format has no form for.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, BlobError> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(BlobError::Encode)
}

/// The value that `bytes` are the serialised form of. Damaged input gives an error and never a panic.
///
/// # Errors
/// [`BlobError::Decode`] for damaged input, [`BlobError::TrailingBytes`] if not all of it was used.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BlobError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(BlobError::Decode)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(BlobError::TrailingBytes(left)),
    }
}
