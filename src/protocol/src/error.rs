//! What can be wrong with a message.

/// A message that isn't one of this protocol's.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Fewer bytes than the header has.
    #[error("a header of {expected} bytes was cut to {got}")]
    ShortHeader {
        /// The header's size.
        expected: usize,
        /// The bytes that are there.
        got: usize,
    },
    /// The first four bytes are others.
    #[error("the message starts with {got:02x?}, expected {expected:02x?}")]
    Magic {
        /// What it should be.
        expected: [u8; 4],
        /// What it is.
        got: [u8; 4],
    },
    /// Another version.
    #[error("the message is of protocol version {got}, this dx-py speaks version {expected}")]
    Version {
        /// The version of this build.
        expected: u16,
        /// The version of the message.
        got: u16,
    },
    /// A kind that doesn't exist.
    #[error("there is no message kind {0}")]
    Kind(u16),
    /// A status that doesn't exist.
    #[error("there is no test status {0}")]
    Status(u8),
    /// A phase that doesn't exist.
    #[error("there is no phase {0} of a test")]
    Phase(u8),
    /// Flags that don't exist.
    #[error("the flags {0:#04x} are unknown")]
    Flags(u32),
    /// A payload beyond the limit.
    #[error("a payload of {0} bytes is larger than the limit of {limit}", limit = crate::message::MAX_PAYLOAD)]
    PayloadTooLarge(u32),
    /// A payload that ends too soon.
    #[error("the payload ends at byte {len}, {wanted} more were expected at {at}")]
    ShortPayload {
        /// Its length.
        len: usize,
        /// Where the reader stood.
        at: usize,
        /// How many bytes it wanted.
        wanted: usize,
    },
    /// A payload with bytes left over.
    #[error("{0} bytes are left over at the end of the payload")]
    TrailingPayload(usize),
    /// Text that isn't UTF-8.
    #[error("text in the payload is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    /// Tests that are told together, with too many or too few numbers.
    #[error("{names} names of tests come with {lines} lines and {places} places")]
    Uneven {
        /// How many names.
        names: usize,
        /// How many lines.
        lines: usize,
        /// How many places.
        places: usize,
    },
    /// A place in the ring that can't be.
    #[error("the ring holds bytes {tail} to {head}; the message names {len} bytes at {offset}")]
    Ring {
        /// Where reading stands.
        tail: u64,
        /// Where writing stands.
        head: u64,
        /// Where the payload should be.
        offset: u64,
        /// Its length.
        len: u32,
    },
    /// The ring can't be made or mapped.
    #[error("the shared ring can't be set up")]
    RingSetup(#[source] std::io::Error),
    /// The file isn't a ring.
    #[error("the mapped file is not a ring: {0}")]
    NotARing(&'static str),
}
