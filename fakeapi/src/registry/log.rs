//! A cluster's store writes its changes to the journal.

use std::io;
use std::sync::Arc;

use apiserver::storage::{CommitLog, Key, Object};

use crate::journal::{ClusterId, Journal, ObjectBytes, ObjectKey, Record};

/// Where one cluster's objects are written down; a run that keeps nothing has no journal.
#[derive(Clone)]
pub struct ClusterLog {
    journal: Option<Arc<Journal>>,
    id: ClusterId,
}

impl ClusterLog {
    pub(super) fn new(journal: Option<Arc<Journal>>, id: ClusterId) -> Self {
        Self { journal, id }
    }

    /// Writes a record about the cluster.
    pub(super) fn write(&self, record: &Record<'_>) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.append(self.id, record))
    }

    /// Returns when the disk has what was written.
    pub(super) async fn sync(&self) -> io::Result<()> {
        match &self.journal {
            Some(journal) => journal.sync(self.id).await,
            None => Ok(()),
        }
    }
}

impl CommitLog for ClusterLog {
    fn append(&self, revision: u64, key: &Key, object: Option<&Object>) -> io::Result<()> {
        self.write(&Record::Object { revision, key: names(key), object: object.map(bytes) })
    }
}

/// A key in names: the numbers of a process mean nothing in a file.
pub(super) fn names(key: &Key) -> ObjectKey<'_> {
    ObjectKey {
        group: key.resource.group(),
        resource: key.resource.resource(),
        namespace: &key.namespace,
        name: &key.name,
    }
}

pub(super) fn bytes(object: &Object) -> ObjectBytes<'_> {
    ObjectBytes { json: object.json(), rest: object.rest() }
}
