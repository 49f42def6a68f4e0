//! What is done to a shard's files when the journal is opened: choose, check, mend, report.
//!
//! Nothing good is ever thrown away here. A torn end is cut off; any other damaged file is kept
//! beside the journal under another name, and a new file takes its place with the records that
//! are good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ClusterId;
use super::disk::{Directory, LogFile};
use super::error::JournalError;
use super::frame::{BadHeader, FORMAT, FileId, FileKind, HEADER, read_header};
use super::record::{Payload, Record};
use super::replay::{Damage, DamageKind};
use super::scan::{Reader, Scan, scan};
use super::shard::{Ids, Opened};
use super::writer::FileWriter;

/// How many damaged states of one file are kept; more are an error, for somebody must look.
const KEPT_MAX: u32 = 100;

/// How many missing files in a row are reported one by one.
const MISSING_MAX: usize = 16;

/// The generation of a new shard's log.
const FIRST: u64 = 1;

/// A shard as it was recovered.
pub(super) struct Recovered {
    pub(super) opened: Opened,
    /// What is to be replayed, in order, and how far.
    pub(super) files: Vec<(FileId, u64)>,
    pub(super) damage: Vec<Damage>,
    pub(super) records: u64,
    pub(super) orphans: u64,
}

/// Refuses files of another format before anything is touched.
pub(super) fn check_versions(directory: &Directory, files: &[FileId]) -> Result<(), JournalError> {
    for id in files {
        let path = directory.file(*id);
        let mut reader = Reader::open(&path, *id).map_err(JournalError::io("open", &path))?;
        let bytes = reader.header().map_err(JournalError::io("read", &path))?;
        if let Err(BadHeader::Version(found)) = read_header(*id, bytes) {
            return Err(JournalError::Version { file: path, found, known: FORMAT });
        }
    }
    Ok(())
}

/// Recovers one shard from those of `files` that are its own.
pub(super) fn recover(
    directory: &Directory,
    shard: u32,
    files: &[FileId],
) -> Result<Recovered, JournalError> {
    let of = |kind: FileKind| files.iter().filter(move |f| f.shard == shard && f.kind == kind);
    let mut recovery = Recovery {
        directory,
        shard,
        contents: Contents::default(),
        logs: of(FileKind::Log).copied().collect(),
        files: Vec::new(),
        damage: Vec::new(),
    };
    let snapshots: Vec<FileId> = of(FileKind::Snapshot).copied().collect();
    let first = recovery.take_snapshot(&snapshots)?;
    recovery.remove_before(first, &snapshots)?;
    recovery.take_logs(first)?;
    recovery.finish(first)
}

/// What a shard's records come to.
#[derive(Clone, Default)]
struct Contents {
    live: Ids,
    highest: ClusterId,
    records: u64,
    orphans: u64,
}

impl Contents {
    fn take(&mut self, payload: &Payload<'_>) {
        let Payload::Record(cluster, record) = payload else {
            return;
        };
        self.records += 1;
        match record {
            Record::Cluster { .. } => {
                self.live.insert(*cluster);
                self.highest = self.highest.max(*cluster);
            }
            Record::Gone => {
                self.live.remove(cluster);
            }
            Record::Base { .. } | Record::Object { .. } => {
                self.orphans += u64::from(!self.live.contains(cluster));
            }
        }
    }
}

struct Recovery<'a> {
    directory: &'a Directory,
    shard: u32,
    contents: Contents,
    logs: Vec<FileId>,
    files: Vec<(FileId, u64)>,
    damage: Vec<Damage>,
}

impl Recovery<'_> {
    /// Chooses the snapshot to begin with; says from which generation on logs are needed.
    fn take_snapshot(&mut self, snapshots: &[FileId]) -> Result<u64, JournalError> {
        let Some((&newest, older)) = snapshots.split_last() else {
            return Ok(FIRST);
        };
        let mut contents = Contents::default();
        let found = self.read(newest, &mut contents)?;
        if found.ended {
            self.contents = contents;
            return self.keep_snapshot(newest);
        }
        for &id in older.iter().rev() {
            let mut earlier = Contents::default();
            if self.reach(id.generation, newest.generation) && self.read(id, &mut earlier)?.ended {
                self.set_aside(newest, found)?;
                self.contents = earlier;
                return self.keep_snapshot(id);
            }
        }
        if self.reach(FIRST, newest.generation) {
            self.set_aside(newest, found)?;
            return Ok(FIRST);
        }
        self.contents = contents;
        self.mend(newest, found)?;
        self.keep_snapshot(newest)
    }

    fn keep_snapshot(&mut self, id: FileId) -> Result<u64, JournalError> {
        let path = self.directory.file(id);
        let len = fs::metadata(&path).map_err(JournalError::io("read", &path))?.len();
        self.files.push((id, len));
        Ok(id.generation)
    }

    /// Whether there is a log of each generation from `first` up to `last`.
    fn reach(&self, first: u64, last: u64) -> bool {
        (first..=last).all(|g| self.logs.contains(&FileId::log(self.shard, g)))
    }

    /// Removes what a snapshot stands for, where a crash came before the compaction did. Where
    /// the snapshot was damaged, it is kept aside too.
    fn remove_before(&mut self, first: u64, snapshots: &[FileId]) -> Result<(), JournalError> {
        for id in self.logs.iter().chain(snapshots) {
            if id.generation < first {
                let path = self.directory.file(*id);
                let remove = || {
                    if !self.damage.is_empty() {
                        keep_aside(&path)?;
                    }
                    fs::remove_file(&path)
                };
                remove().map_err(JournalError::io("remove", &path))?;
            }
        }
        self.logs.retain(|id| id.generation >= first);
        Ok(())
    }

    /// Reads and mends the logs from a generation on.
    fn take_logs(&mut self, first: u64) -> Result<(), JournalError> {
        let mut scans = Vec::new();
        let mut expected = first;
        for id in self.logs.clone() {
            if id.generation > expected {
                self.miss(expected, id.generation);
            }
            expected = id.generation + 1;
            let mut contents = std::mem::take(&mut self.contents);
            scans.push((id, self.read(id, &mut contents)?));
            self.contents = contents;
        }
        while let Some((id, found)) = scans.pop() {
            let empty = |(_, later): &(FileId, u64)| *later == HEADER as u64;
            let last = self.files.iter().filter(|f| f.0.kind == FileKind::Log).all(empty);
            let len = match found.first_bad {
                None => found.good_end,
                Some(_) if last && found.is_torn_end() => self.cut(id, found)?,
                Some(_) => self.mend(id, found)?,
            };
            self.files.push((id, len));
        }
        self.files.sort_by_key(|(id, _)| (id.kind == FileKind::Log, id.generation));
        Ok(())
    }

    /// Walks a file; its records are added to `contents`.
    fn read(&self, id: FileId, contents: &mut Contents) -> Result<Scan, JournalError> {
        let path = self.directory.file(id);
        read(&path, id, contents).map_err(JournalError::io("read", path))
    }

    /// Cuts a torn end off.
    fn cut(&mut self, id: FileId, found: Scan) -> Result<u64, JournalError> {
        let path = self.directory.file(id);
        let cut = |file: std::sync::Arc<dyn LogFile>| {
            file.truncate(found.good_end)?;
            file.sync()
        };
        self.directory.open(id).and_then(cut).map_err(JournalError::io("cut", &path))?;
        self.report(path, DamageKind::TornEnd, found, None);
        Ok(found.good_end)
    }

    /// Puts a file with the good records in the place of a damaged one, which is kept aside.
    fn mend(&mut self, id: FileId, found: Scan) -> Result<u64, JournalError> {
        let path = self.directory.file(id);
        let highest = self.contents.highest;
        let (kept, len) =
            mend(self.directory, id, highest).map_err(JournalError::io("mend", &path))?;
        self.report(path, DamageKind::Damaged, found, Some(kept));
        Ok(len)
    }

    /// Takes a damaged file that is not needed out of the way.
    fn set_aside(&mut self, id: FileId, found: Scan) -> Result<(), JournalError> {
        let path = self.directory.file(id);
        let kept = keep_aside(&path)
            .and_then(|kept| fs::remove_file(&path).map(|()| kept))
            .map_err(JournalError::io("set aside", &path))?;
        self.report(path, DamageKind::Unneeded, found, Some(kept));
        Ok(())
    }

    fn miss(&mut self, from: u64, until: u64) {
        for generation in (from..until).take(MISSING_MAX) {
            let file = self.directory.file(FileId::log(self.shard, generation));
            self.report(file, DamageKind::Missing, Scan::default(), None);
        }
    }

    fn report(&mut self, file: PathBuf, kind: DamageKind, found: Scan, kept: Option<PathBuf>) {
        let damage = Damage {
            file,
            kind,
            offset: found.first_bad.unwrap_or(found.good_end),
            lost_bytes: found.lost,
            kept,
        };
        if kind == DamageKind::TornEnd {
            tracing::warn!("{damage}");
        } else {
            tracing::error!("{damage}");
        }
        self.damage.push(damage);
    }

    /// The shard, ready for appends.
    fn finish(mut self, first: u64) -> Result<Recovered, JournalError> {
        let highest = self.contents.highest;
        if !self.files.iter().any(|(id, _)| id.kind == FileKind::Log) {
            let id = FileId::log(self.shard, first);
            if !self.files.is_empty() {
                self.miss(first, first + 1);
            }
            self.directory
                .new_log(id, highest)
                .map_err(JournalError::io("create", self.directory.file(id)))?;
            self.files.push((id, HEADER as u64));
        }
        let (log, len) = *self.files.last().expect("a log was just made sure of");
        let bytes = |kind: FileKind| {
            let of = self.files.iter().filter(move |(id, _)| id.kind == kind);
            of.map(|(_, len)| len - HEADER as u64).sum::<u64>()
        };
        let (log_bytes, live_bytes) = (bytes(FileKind::Log), bytes(FileKind::Snapshot));
        let file = self.sync_logs()?;
        let Contents { live, highest, records, orphans } = self.contents;
        Ok(Recovered {
            opened: Opened { log, file, len, live, highest, log_bytes, live_bytes },
            files: self.files,
            damage: self.damage,
            records,
            orphans,
        })
    }

    /// Has the disk hold what is about to be served; gives the last log.
    fn sync_logs(&self) -> Result<std::sync::Arc<dyn LogFile>, JournalError> {
        let mut last = None;
        for (id, _) in &self.files {
            let open = || {
                let file = self.directory.open(*id)?;
                file.sync()?;
                Ok(file)
            };
            last = Some(open().map_err(JournalError::io("sync", self.directory.file(*id)))?);
        }
        Ok(last.expect("a shard has a log"))
    }
}

/// Walks a file; its records are added to `contents`.
fn read(path: &Path, id: FileId, contents: &mut Contents) -> io::Result<Scan> {
    let mut reader = Reader::open(path, id)?;
    let header = read_header(id, reader.header()?);
    if let Ok(highest) = header {
        contents.highest = contents.highest.max(highest);
    }
    let mut found = scan(&mut reader, &mut |payload| {
        contents.take(payload);
        Ok(())
    })?;
    if header.is_err() {
        found.note_bad_header(reader.len());
    }
    Ok(found)
}

/// Keeps a damaged file and writes its good records to a new one in its place.
fn mend(directory: &Directory, id: FileId, highest: ClusterId) -> io::Result<(PathBuf, u64)> {
    let path = directory.file(id);
    let mut reader = Reader::open(&path, id)?;
    let mut writer = FileWriter::begin(directory, id, highest)?;
    scan(&mut reader, &mut |payload| match payload {
        Payload::Record(..) => writer.push(payload),
        Payload::End { .. } => Ok(()),
    })?;
    if id.kind == FileKind::Snapshot {
        writer.end()?;
    }
    let kept = keep_aside(&path)?;
    Ok((kept, writer.finish()?))
}

/// Gives a file a second name that no other has, so that it stays when the first one is taken.
fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=KEPT_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".damaged".to_owned() } else { format!(".damaged-{number}") });
        match fs::hard_link(path, &name) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "{KEPT_MAX} damaged states of this file are kept already; look at them and remove them"
    )))
}
