//! Writing a whole file at once: snapshots, and the good part of a damaged file.

use std::io;
use std::sync::Arc;

use super::ClusterId;
use super::disk::{Directory, LogFile, write_all_at};
use super::frame::{FileId, HEADER, put_frame};
use super::record::Payload;

/// How many bytes are gathered before they are written.
const CHUNK: usize = 256 << 10;

/// A file under its unfinished name, until [`FileWriter::finish`] puts it in its place.
pub(super) struct FileWriter<'a> {
    directory: &'a Directory,
    id: FileId,
    seed: u32,
    file: Arc<dyn LogFile>,
    written: u64,
    records: u64,
    buffer: Vec<u8>,
}

impl<'a> FileWriter<'a> {
    /// Begins a file.
    pub(super) fn begin(
        directory: &'a Directory,
        id: FileId,
        highest: ClusterId,
    ) -> io::Result<Self> {
        Ok(Self {
            directory,
            id,
            seed: id.seed(),
            file: directory.begin(id, highest)?,
            written: HEADER as u64,
            records: 0,
            buffer: Vec::new(),
        })
    }

    /// Adds a record.
    pub(super) fn push(&mut self, payload: &Payload<'_>) -> io::Result<()> {
        put_frame(&mut self.buffer, self.seed, payload)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.records += u64::from(matches!(payload, Payload::Record(..)));
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the mark without which a snapshot is not used.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let records = self.records;
        self.push(&Payload::End { records })
    }

    /// Writes what is gathered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        write_all_at(&*self.file, &self.buffer, self.written).map_err(|(_, error)| error)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Puts the file in its place, on disk, and says how long it is.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.directory.finish(self.id, &*self.file)?;
        Ok(self.written)
    }
}
