//! Files of the journal: their names, their header, and the frame around a record.
//!
//! The checksum of a frame covers its length, and begins with a seed made of the file's kind,
//! shard and generation: bytes of another journal file that a crash of the machine left in this
//! one's blocks do not pass as records.

use std::fmt;

use super::record::Payload;
use super::{ClusterId, JOURNAL_SHARDS, RECORD_MAX};

/// The version of the format; others are refused, not guessed at.
pub(super) const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"fakeapiJ";

/// Bytes of a file's header.
pub(super) const HEADER: usize = 44;

/// Bytes of a frame before its payload: length and checksum.
pub(super) const FRAME: usize = 8;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FileKind {
    /// Changes, in the order they were made.
    Log,
    /// The state of a shard's clusters, instead of every log of a lower generation.
    Snapshot,
}

/// Which file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    /// The shard.
    pub(super) shard: u32,
    /// Its place in the order of the shard's files: a snapshot stands for every log of a lower
    /// generation.
    pub(super) generation: u64,
    /// What it is for.
    pub(super) kind: FileKind,
}

impl FileId {
    /// The log of a shard with this generation.
    pub(super) fn log(shard: u32, generation: u64) -> Self {
        Self { shard, generation, kind: FileKind::Log }
    }

    /// The snapshot that stands for all before the log of this generation.
    pub(super) fn snapshot(shard: u32, generation: u64) -> Self {
        Self { shard, generation, kind: FileKind::Snapshot }
    }

    /// Reads a file's name; `None` for files that are not the journal's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_once('.')?;
        let kind = match extension {
            "log" => FileKind::Log,
            "snap" => FileKind::Snapshot,
            _ => return None,
        };
        let (shard, generation) = stem.split_once('-')?;
        let id = Self { shard: shard.parse().ok()?, generation: generation.parse().ok()?, kind };
        (id.shard < JOURNAL_SHARDS && id.to_string() == name).then_some(id)
    }

    /// What the checksums of the file's frames begin with.
    pub(super) fn seed(self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.kind_number().to_le_bytes());
        hasher.update(&self.shard.to_le_bytes());
        hasher.update(&self.generation.to_le_bytes());
        hasher.finalize()
    }

    fn kind_number(self) -> u32 {
        match self.kind {
            FileKind::Log => 1,
            FileKind::Snapshot => 2,
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = match self.kind {
            FileKind::Log => "log",
            FileKind::Snapshot => "snap",
        };
        write!(f, "{:02}-{:010}.{extension}", self.shard, self.generation)
    }
}

/// Why a header is not the one that a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Another version of the format, in a header that is whole.
    Version(u32),
    /// Damaged, or of another file.
    Damaged,
}

/// The header of a new file; `highest` is the highest cluster id that its shard has seen.
pub(super) fn header(id: FileId, highest: ClusterId) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&id.kind_number().to_le_bytes());
    bytes[16..20].copy_from_slice(&id.shard.to_le_bytes());
    bytes[20..24].copy_from_slice(&JOURNAL_SHARDS.to_le_bytes());
    bytes[24..32].copy_from_slice(&id.generation.to_le_bytes());
    bytes[32..40].copy_from_slice(&highest.0.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads a header: the highest cluster id that the file's shard had seen when it was made.
pub(super) fn read_header(id: FileId, bytes: &[u8]) -> Result<ClusterId, BadHeader> {
    let bytes: &[u8; HEADER] = bytes.try_into().map_err(|_| BadHeader::Damaged)?;
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if &bytes[..8] != MAGIC || crc32fast::hash(&bytes[..HEADER - 4]) != number(HEADER - 4) {
        return Err(BadHeader::Damaged);
    }
    if number(8) != FORMAT {
        return Err(BadHeader::Version(number(8)));
    }
    let highest = ClusterId(u64::from_le_bytes(bytes[32..40].try_into().expect("eight bytes")));
    if bytes[..] == header(id, highest)[..] { Ok(highest) } else { Err(BadHeader::Damaged) }
}

/// A record is larger than [`RECORD_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {size} bytes is larger than the journal's bound of {RECORD_MAX}")]
pub(super) struct TooLarge {
    size: usize,
}

/// Appends `payload` in its frame to `out`, or leaves `out` as it was.
pub(super) fn put_frame(
    out: &mut Vec<u8>,
    seed: u32,
    payload: &Payload<'_>,
) -> Result<(), TooLarge> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    payload.encode(out);
    let size = out.len() - start - FRAME;
    let Some(len) = u32::try_from(size).ok().filter(|len| *len <= RECORD_MAX) else {
        out.truncate(start);
        return Err(TooLarge { size });
    };
    let sum = checksum(seed, len, &out[start + FRAME..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The length and the checksum that open a frame; `None` for a length that no frame has.
pub(super) fn read_frame(bytes: &[u8]) -> Option<(u32, u32)> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (sum, _) = rest.split_first_chunk()?;
    let len = u32::from_le_bytes(*len);
    (1..=RECORD_MAX).contains(&len).then_some((len, u32::from_le_bytes(*sum)))
}

/// The checksum of a frame (CRC-32).
pub(super) fn checksum(seed: u32, len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        for id in [FileId::log(0, 1), FileId::snapshot(15, 12_345_678_901)] {
            assert_eq!(FileId::parse(&id.to_string()), Some(id));
        }
        for name in [
            "00-1.log",
            "16-0000000001.log",
            "00-0000000001.log.tmp",
            "00-0000000001.log.damaged",
            "LOCK",
            "+0-0000000001.log",
        ] {
            assert_eq!(FileId::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_is_of_one_file_and_one_version() {
        let id = FileId::log(3, 7);
        let good = header(id, ClusterId(99));
        assert_eq!(read_header(id, &good), Ok(ClusterId(99)));
        for other in [FileId::log(3, 8), FileId::log(4, 7), FileId::snapshot(3, 7)] {
            assert_eq!(read_header(other, &good), Err(BadHeader::Damaged));
        }
        for at in 0..HEADER {
            let mut bad = good;
            bad[at] ^= 4;
            assert_eq!(read_header(id, &bad), Err(BadHeader::Damaged), "byte {at}");
        }
        let mut newer = good;
        newer[8] = 2;
        let sum = crc32fast::hash(&newer[..HEADER - 4]);
        newer[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read_header(id, &newer), Err(BadHeader::Version(2)));
    }

    #[test]
    fn a_record_beyond_the_bound_leaves_nothing_behind() {
        let body = vec![0; RECORD_MAX as usize];
        let record = super::super::Record::Base { revision: 1, body: &body };
        let mut out = b"before".to_vec();
        let error = put_frame(&mut out, 0, &Payload::Record(ClusterId(1), record));
        assert!(error.is_err());
        assert_eq!(out, b"before");
    }
}
