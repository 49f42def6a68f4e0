//! What a store holds before anybody wrote to it.
//!
//! Ten thousand API servers that begin alike need one copy of the beginning. A [`Base`] answers
//! for objects that nobody has written to; the first write puts an object into the store proper
//! (or a tombstone, when it is deleted), which hides the base's from then on.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{EventKind, Key, Object, Scope};

/// The objects below a store.
pub trait Base: Send + Sync + 'static {
    /// The object under `key`, as it is now.
    fn get(&self, key: &Key) -> Option<Arc<Object>>;

    /// Calls `visit` with the positions (namespace, name) of the base's objects in `scope`, in
    /// order, from the first one after `after`, until it breaks.
    fn scan(
        &self,
        scope: Scope<'_>,
        after: Option<(&str, &str)>,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    );

    /// The keys of the base's objects whose `metadata.ownerReferences` name this uid.
    fn dependents(&self, uid: &str) -> Vec<Key> {
        let _ = uid;
        Vec::new()
    }

    /// What changes by itself in an object of the store proper when it is read now: a kubelet's
    /// heartbeats, for example. `None` leaves it as stored.
    ///
    /// The object keeps its resourceVersion: a write that names it must still be taken.
    fn refresh(&self, key: &Key, object: &Object) -> Option<Arc<Object>> {
        let _ = (key, object);
        None
    }
}

/// A change of the base itself, to be told to watchers.
#[derive(Clone, Debug)]
pub struct BaseChange {
    /// What happened.
    pub kind: EventKind,
    /// The object it happened to.
    pub key: Key,
    /// For a removal, the object's last state.
    pub last: Option<Arc<Object>>,
}

/// The base of a store that begins empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBase;

impl Base for NoBase {
    fn get(&self, _: &Key) -> Option<Arc<Object>> {
        None
    }

    fn scan(
        &self,
        _: Scope<'_>,
        _: Option<(&str, &str)>,
        _: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) {
    }
}
