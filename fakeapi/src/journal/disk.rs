//! The few things the journal asks of files, so that tests can make them fail.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ClusterId;
use super::error::JournalError;
use super::frame::{FileId, header};

/// Registrations hold private keys: nobody else reads the journal.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A file that is being written.
pub(super) trait LogFile: Send + Sync {
    /// One write at an offset; it may be short.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts the file.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Returns when the disk has what was written.
    fn sync(&self) -> io::Result<()>;
}

/// Where files come from.
pub(super) trait Disk: Send + Sync {
    /// A new, empty file in the place of any other.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;
    /// A file that is there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;
}

/// The real one.
pub(super) struct OsDisk;

impl LogFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
    }
}

/// Writes all of `bytes`, in one call unless the kernel takes less; says how far it came.
pub(super) fn write_all_at(
    file: &dyn LogFile,
    bytes: &[u8],
    offset: u64,
) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

/// The journal's directory.
pub(super) struct Directory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held as long as the journal is open; the kernel lets go when the process dies.
    lock: File,
}

impl Directory {
    /// Takes the directory for this process alone, and makes it when it is not there.
    pub(super) fn take(path: &Path, disk: Arc<dyn Disk>) -> Result<Self, JournalError> {
        let made = !path.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(JournalError::io("create", path))?;
        if made {
            let parent = parent(path);
            sync_directory(parent).map_err(JournalError::io("sync", parent))?;
        }
        let lock_path = path.join("LOCK");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(JournalError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(JournalError::Locked(path.to_path_buf()));
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(JournalError::io("lock", lock_path)(source));
            }
        }
        Ok(Self { path: path.to_path_buf(), disk, lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of the journal is.
    pub(super) fn file(&self, id: FileId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// Where a file is while it is not whole; such files are never read.
    pub(super) fn unfinished(&self, id: FileId) -> PathBuf {
        self.path.join(format!("{id}{UNFINISHED}"))
    }

    /// Opens a file of the journal for writing.
    pub(super) fn open(&self, id: FileId) -> io::Result<Arc<dyn LogFile>> {
        self.disk.open(&self.file(id))
    }

    /// Begins a file under its unfinished name, with its header.
    pub(super) fn begin(&self, id: FileId, highest: ClusterId) -> io::Result<Arc<dyn LogFile>> {
        let file = self.disk.create(&self.unfinished(id))?;
        write_all_at(&*file, &header(id, highest), 0).map_err(|(_, error)| error)?;
        Ok(file)
    }

    /// Puts a begun file in its place, whole and on disk.
    pub(super) fn finish(&self, id: FileId, file: &dyn LogFile) -> io::Result<()> {
        file.sync()?;
        fs::rename(self.unfinished(id), self.file(id))?;
        sync_directory(&self.path)
    }

    /// A new log with nothing but its header, on disk.
    pub(super) fn new_log(&self, id: FileId, highest: ClusterId) -> io::Result<Arc<dyn LogFile>> {
        let file = self.begin(id, highest)?;
        self.finish(id, &*file)?;
        Ok(file)
    }

    /// The files that are the journal's, in order, and the unfinished ones.
    pub(super) fn list(&self) -> io::Result<(Vec<FileId>, Vec<PathBuf>)> {
        let mut files = Vec::new();
        let mut unfinished = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(id) = FileId::parse(&name) {
                files.push(id);
            } else if name.ends_with(UNFINISHED) {
                unfinished.push(entry.path());
            }
        }
        files.sort();
        Ok((files, unfinished))
    }
}

impl Drop for Directory {
    /// Closing the file is not enough: a child process that is just being started has it too.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the journal's lock stays until this process ends");
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

const UNFINISHED: &str = ".tmp";

/// Returns when the disk has the directory's entries.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
