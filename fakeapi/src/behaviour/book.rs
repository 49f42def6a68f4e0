//! The rules there are, and the file that keeps them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::entry::Entry;
use super::limits::RULES;
use super::rule::Rule;
use super::validate::Faults;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The name of the file in the data directory.
const FILE: &str = "behaviours.json";
/// The name under which it is written.
const UNFINISHED: &str = "behaviours.json.new";

/// Why a rule was not taken, or the rules could not be had back.
#[derive(Debug, thiserror::Error)]
pub enum BehaviourError {
    /// There is no rule of this name.
    #[error("there is no rule {0:?}")]
    Unknown(String),
    /// A rule is wrong.
    #[error("{0}")]
    Invalid(#[from] Faults),
    /// There are as many rules as there may be.
    #[error("there are {RULES} rules already, and not more at once")]
    TooMany,
    /// The file with the rules cannot be written.
    #[error("the rules could not be written to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file with the rules cannot be read.
    #[error("the rules could not be read from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file with the rules is not what this version writes.
    #[error("the rules in {} are not what this version writes", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    rules: Vec<KeptRule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRule {
    applied: Timestamp,
    rule: Rule,
}

/// All rules, in order of their names.
pub type Entries = Arc<[Arc<Entry>]>;

/// The rules there are. Reading them takes no turn; changes wait for each other.
#[derive(Debug)]
pub struct Book {
    entries: RwLock<Entries>,
    /// The data directory; a run that keeps nothing has none.
    directory: Option<PathBuf>,
    changing: Mutex<()>,
}

impl Default for Book {
    fn default() -> Self {
        Self { entries: RwLock::new([].into()), directory: None, changing: Mutex::default() }
    }
}

impl Book {
    /// The rules that a former run kept in its data directory.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn open(directory: &Path) -> Result<Self, BehaviourError> {
        let path = directory.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(BehaviourError::Read { path, source }),
        };
        let entries = bytes.map(|bytes| parse(&bytes)).transpose();
        let entries = entries.map_err(|source| BehaviourError::Form { path, source })?;
        Ok(Self {
            entries: RwLock::new(entries.unwrap_or_default().into()),
            directory: Some(directory.to_owned()),
            changing: Mutex::default(),
        })
    }

    /// The rules of this moment.
    pub fn entries(&self) -> Entries {
        Arc::clone(&self.entries.read())
    }

    /// The rule of a name.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries().iter().find(|entry| entry.rule.name == name).cloned()
    }

    /// Adds rules or replaces those of the same names; returns when they are kept.
    ///
    /// # Errors
    /// When there are too many or the file cannot be written: then nothing changed.
    pub async fn put(&self, rules: Vec<Rule>, now: Timestamp) -> Result<(), BehaviourError> {
        let turn = self.changing.lock().await;
        let mut entries = self.entries().to_vec();
        for rule in rules {
            entries.retain(|entry| entry.rule.name != rule.name);
            entries.push(Arc::new(Entry::new(rule, now)));
        }
        if entries.len() > RULES {
            return Err(BehaviourError::TooMany);
        }
        entries.sort_by(|a, b| a.rule.name.cmp(&b.rule.name));
        self.become_these(entries, &turn).await
    }

    /// Removes a rule; returns when that is kept. With `entry`, only when it is still that one.
    ///
    /// # Errors
    /// When there is none or the file cannot be written: then nothing changed.
    pub async fn remove(
        &self,
        name: &str,
        entry: Option<&Arc<Entry>>,
    ) -> Result<(), BehaviourError> {
        let turn = self.changing.lock().await;
        let is = self.get(name).ok_or_else(|| BehaviourError::Unknown(name.to_owned()))?;
        if entry.is_some_and(|entry| !Arc::ptr_eq(entry, &is)) {
            return Ok(());
        }
        let mut entries = self.entries().to_vec();
        entries.retain(|entry| !Arc::ptr_eq(entry, &is));
        self.become_these(entries, &turn).await
    }

    async fn become_these(
        &self,
        entries: Vec<Arc<Entry>>,
        _turn: &MutexGuard<'_, ()>,
    ) -> Result<(), BehaviourError> {
        let entries: Entries = entries.into();
        if let Some(directory) = self.directory.clone() {
            let path = directory.join(FILE);
            let text = text(&entries);
            let written = tokio::task::spawn_blocking(move || write(&directory, &text)).await;
            let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
            written.map_err(|source| BehaviourError::Write { path, source })?;
        }
        *self.entries.write() = entries;
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Arc<Entry>>, serde_json::Error> {
    use serde::de::Error;
    let Kept { version, rules } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(Error::custom(format!("its version is {version}, not {VERSION}")));
    }
    let mut entries = Vec::new();
    for KeptRule { applied, rule } in rules {
        rule.check().map_err(Error::custom)?;
        entries.push(Arc::new(Entry::inherited(rule, applied)));
    }
    Ok(entries)
}

fn text(entries: &[Arc<Entry>]) -> Vec<u8> {
    let kept = |entry: &Arc<Entry>| KeptRule { applied: entry.applied, rule: entry.rule.clone() };
    let kept = Kept { version: VERSION, rules: entries.iter().map(kept).collect() };
    serde_json::to_vec_pretty(&kept).expect("plain structs with text keys encode as JSON")
}

/// Writes the file so that a reader finds the old one or the new one, whatever happens.
fn write(directory: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(UNFINISHED);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> Rule {
        Rule { name: name.to_owned(), ..Rule::default() }
    }

    fn names(book: &Book) -> Vec<String> {
        book.entries().iter().map(|entry| entry.rule.name.clone()).collect()
    }

    #[tokio::test]
    async fn rules_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let book = Book::open(home.path()).unwrap();
        let now = Timestamp::now();
        book.put(vec![rule("b"), rule("a")], now).await.unwrap();
        book.put(vec![rule("c")], now).await.unwrap();
        book.remove("b", None).await.unwrap();
        assert!(matches!(book.remove("b", None).await, Err(BehaviourError::Unknown(_))));
        let again = Book::open(home.path()).unwrap();
        assert_eq!(names(&again), ["a", "c"]);
        assert_eq!(again.get("a").unwrap().applied, now);
        assert!(again.get("a").unwrap().inherited);
    }

    #[tokio::test]
    async fn one_that_was_replaced_is_not_removed_in_the_name_of_the_old_one() {
        let book = Book::default();
        book.put(vec![rule("a")], Timestamp::now()).await.unwrap();
        let old = book.get("a").unwrap();
        book.put(vec![rule("a")], Timestamp::now()).await.unwrap();
        book.remove("a", Some(&old)).await.unwrap();
        assert_eq!(names(&book), ["a"]);
    }

    #[tokio::test]
    async fn there_is_a_bound_and_a_refusal_changes_nothing() {
        let book = Book::default();
        let rules = |n: usize| (0..n).map(|n| rule(&format!("r{n}"))).collect();
        book.put(rules(RULES), Timestamp::now()).await.unwrap();
        let refused = book.put(vec![rule("more")], Timestamp::now()).await;
        assert!(matches!(refused, Err(BehaviourError::TooMany)));
        assert_eq!(book.entries().len(), RULES);
        // One in the place of another is none too many.
        book.put(vec![rule("r0")], Timestamp::now()).await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_written_does_not_hold() {
        let home = tempfile::tempdir().unwrap();
        let book = Book::open(home.path()).unwrap();
        std::fs::create_dir(home.path().join(UNFINISHED)).unwrap();
        let refused = book.put(vec![rule("a")], Timestamp::now()).await;
        assert!(matches!(refused, Err(BehaviourError::Write { .. })));
        assert!(book.entries().is_empty());
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        let home = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"version":2,"rules":[]}"#] {
            std::fs::write(home.path().join(FILE), text).unwrap();
            let refused = Book::open(home.path());
            assert!(matches!(refused, Err(BehaviourError::Form { .. })), "{text}");
        }
    }
}
