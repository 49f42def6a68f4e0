//! One document, compressed and, on demand, plain.

use std::{io::Read as _, sync::OnceLock};

use bytes::Bytes;
use flate2::read::GzDecoder;

/// An embedded document.
#[derive(Debug)]
pub struct Document {
    hash: &'static str,
    gzip: &'static [u8],
    plain: OnceLock<Bytes>,
}

impl Document {
    pub(super) fn new((hash, gzip): (&'static str, &'static [u8])) -> Self {
        Self { hash, gzip, plain: OnceLock::new() }
    }

    /// Digest of the plain document, SHA-512 in upper case hexadecimal, as a real server uses it
    /// in addresses and, in quotes, as `ETag`.
    pub fn hash(&self) -> &'static str {
        self.hash
    }

    /// The document compressed with gzip.
    pub fn gzip(&self) -> Bytes {
        Bytes::from_static(self.gzip)
    }

    /// The document itself; it is decompressed once for the process and shared.
    pub fn plain(&self) -> Bytes {
        self.plain.get_or_init(|| decompress(self.gzip)).clone()
    }
}

fn decompress(gzip: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(gzip)
        .read_to_end(&mut plain)
        .expect("embedded documents are compressed by `cargo xtask gen`, and tests read all");
    plain.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn is_decompressed_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"{}").expect("writes to memory");
        let gzip: &'static [u8] = encoder.finish().expect("writes to memory").leak();
        let document = Document::new(("AB", gzip));
        let (first, second) = (document.plain(), document.plain());
        assert_eq!(&first[..], b"{}");
        assert_eq!(first.as_ptr(), second.as_ptr(), "both share one copy");
        assert_eq!(&document.gzip()[..], gzip);
    }
}
