//! Header blocks: names and values, compressed (SPDY/3.1, 2.6.10).
//!
//! What comes in was compressed as one zlib stream for the whole session. What goes out is such
//! a stream too, but one that stores instead of compressing: our blocks are empty or nearly so,
//! and a compressor would cost each session a quarter of a megabyte.

use flate2::{Decompress, FlushDecompress, Status};

use super::dictionary;

/// Names in one block. Port-forward has three, exec two.
pub const NAMES_MAX: usize = 100;
/// Bytes of a block when it is not compressed.
pub const BLOCK_MAX: usize = 64 * 1024;

/// Names that belong to one hop and may not be in a request (SPDY/3.1, 3.2.1).
const HOP_NAMES: [&str; 5] =
    ["connection", "host", "keep-alive", "proxy-connection", "transfer-encoding"];

/// A stream's headers: lower-case names, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// What is wrong with a header block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not a part of a zlib stream with SPDY's dictionary.
    #[error("a header block could not be decompressed")]
    Compression,
    /// See [`BLOCK_MAX`].
    #[error("a header block is larger than {BLOCK_MAX} bytes")]
    TooLarge,
    /// See [`NAMES_MAX`].
    #[error("a header block has {0} names, at most {NAMES_MAX} are taken")]
    TooMany(u32),
    /// It ends before or after its last header.
    #[error("a header block has another length than its headers")]
    Length,
    /// A name is empty, not in lower case or not text.
    #[error("a header's name is not valid")]
    Name,
    /// A value is not text.
    #[error("header {0:?} has a value that is not text")]
    Value(String),
    /// A name is there twice.
    #[error("header {0:?} is there twice")]
    Duplicate(String),
    /// A name that belongs to one hop.
    #[error("header {0:?} is not allowed")]
    Hop(String),
}

impl Headers {
    /// The first value of a header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(known, _)| known == name)?;
        values.split('\0').next()
    }

    /// Adds a header; the name is made lower case.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Whether no name belongs to one hop.
    pub(super) fn check_hops(&self) -> Result<(), HeaderError> {
        let hop = self.0.iter().find(|(name, _)| HOP_NAMES.contains(&&**name));
        hop.map_or(Ok(()), |(name, _)| Err(HeaderError::Hop(name.clone())))
    }

    /// Reads a block that is not compressed.
    ///
    /// # Errors
    /// When it is not well-formed, or larger than is taken.
    pub fn parse(block: &[u8]) -> Result<Self, HeaderError> {
        let mut rest = Rest(block);
        let count = rest.number()?;
        if usize::try_from(count).is_ok_and(|count| count > NAMES_MAX) {
            return Err(HeaderError::TooMany(count));
        }
        let mut headers = Self::default();
        for _ in 0..count {
            let name = std::str::from_utf8(rest.text()?).map_err(|_| HeaderError::Name)?;
            if name.is_empty() || name.chars().any(char::is_uppercase) {
                return Err(HeaderError::Name);
            }
            if headers.0.iter().any(|(known, _)| known == name) {
                return Err(HeaderError::Duplicate(name.to_owned()));
            }
            let value = std::str::from_utf8(rest.text()?)
                .map_err(|_| HeaderError::Value(name.to_owned()))?;
            headers.0.push((name.to_owned(), value.to_owned()));
        }
        if rest.0.is_empty() { Ok(headers) } else { Err(HeaderError::Length) }
    }

    /// The block, not compressed.
    pub fn block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        let number = |block: &mut Vec<u8>, number: usize| {
            // No block that can be sent has so much.
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            block.extend_from_slice(&number.to_be_bytes());
        };
        number(&mut block, self.0.len());
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            number(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
        block
    }
}

/// What of a block is not yet read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn number(&mut self) -> Result<u32, HeaderError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(HeaderError::Length)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn text(&mut self) -> Result<&'a [u8], HeaderError> {
        let length = usize::try_from(self.number()?).map_err(|_| HeaderError::Length)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(HeaderError::Length)?;
        self.0 = rest;
        Ok(text)
    }
}

/// The decompressor of one session's incoming blocks.
#[derive(Debug)]
pub struct Inflate(Decompress);

impl Default for Inflate {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflate {
    /// Decompresses the session's next block.
    ///
    /// # Errors
    /// When it cannot be, or when it gets too large.
    pub fn block(&mut self, mut compressed: &[u8]) -> Result<Vec<u8>, HeaderError> {
        let mut block = Vec::new();
        loop {
            let before = (self.0.total_in(), self.0.total_out());
            let mut chunk = [0; 1024];
            let status = match self.0.decompress(compressed, &mut chunk, FlushDecompress::Sync) {
                Ok(status) => status,
                Err(error) if error.needs_dictionary() == Some(dictionary::ID) => {
                    let known = self.0.set_dictionary(dictionary::bytes());
                    known.map_err(|_| HeaderError::Compression)?;
                    compressed = advance(compressed, before.0, self.0.total_in());
                    continue;
                }
                Err(_) => return Err(HeaderError::Compression),
            };
            compressed = advance(compressed, before.0, self.0.total_in());
            let out = usize::try_from(self.0.total_out() - before.1).unwrap_or(chunk.len());
            block.extend_from_slice(chunk.get(..out).ok_or(HeaderError::Compression)?);
            if block.len() > BLOCK_MAX {
                return Err(HeaderError::TooLarge);
            }
            match status {
                Status::Ok | Status::BufError if out == chunk.len() => {}
                Status::Ok | Status::BufError if compressed.is_empty() => return Ok(block),
                Status::Ok => {}
                // A session's stream has no end.
                Status::BufError | Status::StreamEnd => return Err(HeaderError::Compression),
            }
        }
    }
}

fn advance(bytes: &[u8], before: u64, after: u64) -> &[u8] {
    let taken = usize::try_from(after - before).unwrap_or(usize::MAX);
    bytes.get(taken..).unwrap_or_default()
}

/// The writer of one session's outgoing blocks.
#[derive(Debug, Default)]
pub struct Stored {
    begun: bool,
}

/// A zlib header that says: 32 KiB window, no compression, a dictionary (RFC 1950, 2.2).
const ZLIB_HEADER: [u8; 2] = [0x78, 0x20];

impl Stored {
    /// Appends the session's next block as what a decompressor reads.
    pub fn write(&mut self, block: &[u8], to: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            to.extend_from_slice(&ZLIB_HEADER);
            to.extend_from_slice(&dictionary::ID.to_be_bytes());
        }
        for stored in block.chunks(usize::from(u16::MAX)) {
            store(stored, to);
        }
        // What zlib calls a sync flush: Go hands out what it has read only then.
        store(&[], to);
    }
}

/// A block that is stored and not the last: one byte, as each begins at a byte's border
/// (RFC 1951, 3.2.4).
fn store(bytes: &[u8], to: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    to.push(0);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&(!length).to_le_bytes());
    to.extend_from_slice(bytes);
}
