//! Reading a file that may be damaged: which records are good, and what is lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frame::{FRAME, FileId, HEADER, checksum, read_frame};
use super::record::{NUMBER_MAX, Payload};

/// How much of a file is read at once; a larger record takes its own size.
const WINDOW: usize = 1 << 20;

/// A file of the journal, read from anywhere through one window.
pub(super) struct Reader {
    id: FileId,
    seed: u32,
    file: File,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Reader {
    /// Opens a file; it is read up to the length that it has now.
    pub(super) fn open(path: &Path, id: FileId) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { id, seed: id.seed(), file, len, window: Vec::new(), window_at: 0 })
    }

    /// The file's length.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads no further than this.
    pub(super) fn limit(&mut self, len: u64) {
        self.len = self.len.min(len);
    }

    /// The bytes of the header, fewer when the file is shorter.
    pub(super) fn header(&mut self) -> io::Result<&[u8]> {
        self.bytes(0, HEADER)
    }

    /// The frame at an offset and where the next one begins; `None` when there is no good one.
    pub(super) fn frame(&mut self, at: u64) -> io::Result<Option<(Payload<'_>, u64)>> {
        let seed = self.seed;
        let Some((len, sum)) = read_frame(self.bytes(at, FRAME)?) else {
            return Ok(None);
        };
        let whole = FRAME + len as usize;
        if self.len - at < whole as u64 {
            return Ok(None);
        }
        let Some(payload) = self.bytes(at, whole)?.get(FRAME..whole) else {
            return Ok(None);
        };
        if checksum(seed, len, payload) != sum {
            return Ok(None);
        }
        Ok(Payload::decode(payload).map(|payload| (payload, at + whole as u64)))
    }

    /// Where the first good frame at or after `from` begins.
    ///
    /// Every offset is tried, because the length of a bad frame may be what is damaged. Texts
    /// (JSON has no control characters) are never taken for a length within the bound, so
    /// checksums are rarely computed.
    fn next_good(&mut self, from: u64) -> io::Result<Option<u64>> {
        let shard = self.id.shard;
        for at in from..self.len {
            let head = self.bytes(at, FRAME + 1 + NUMBER_MAX)?;
            let likely = read_frame(head).is_some()
                && head.get(FRAME..).is_some_and(|p| Payload::plausible(p, shard));
            if likely && self.frame(at)?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Bytes of the file, fewer at its end.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.len.min(at.saturating_add(len as u64));
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || end > window_end {
            let want = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
            self.window.clear();
            self.window.resize(want.min(WINDOW.max(len)), 0);
            self.window_at = at;
            self.file.read_exact_at(&mut self.window, at)?;
        }
        let offset = |at: u64| usize::try_from(at - self.window_at).expect("inside the window");
        Ok(&self.window[offset(at.min(end))..offset(end)])
    }
}

/// What a walk over a whole file found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Good records.
    pub(super) records: u64,
    /// Where the last good record ends.
    pub(super) good_end: u64,
    /// Where the first bad bytes are.
    pub(super) first_bad: Option<u64>,
    /// How many bytes are not part of a good record.
    pub(super) lost: u64,
    /// Whether the file ends in the end mark of a snapshot, with the right count.
    pub(super) ended: bool,
}

impl Scan {
    /// Whether the bad bytes are those at the end, and no others.
    pub(super) fn is_torn_end(&self) -> bool {
        self.first_bad == Some(self.good_end)
    }

    /// The header is bad as well.
    pub(super) fn note_bad_header(&mut self, len: u64) {
        self.first_bad = Some(0);
        self.lost += len.min(HEADER as u64);
        self.ended = false;
    }
}

/// Walks a file from its first record to its end and visits every good record.
pub(super) fn scan(
    reader: &mut Reader,
    visit: &mut dyn FnMut(&Payload<'_>) -> io::Result<()>,
) -> io::Result<Scan> {
    let mut at = HEADER as u64;
    let mut found = Scan { good_end: at, ..Scan::default() };
    while at < reader.len() {
        if let Some((payload, next)) = reader.frame(at)? {
            found.ended = match payload {
                Payload::End { records } => records == found.records,
                Payload::Record(..) => false,
            };
            found.records += u64::from(matches!(payload, Payload::Record(..)));
            visit(&payload)?;
            found.good_end = next;
            at = next;
        } else {
            found.first_bad.get_or_insert(at);
            let next = reader.next_good(at + 1)?.unwrap_or(reader.len());
            found.lost += next - at;
            at = next;
        }
    }
    found.ended &= found.first_bad.is_none();
    Ok(found)
}
