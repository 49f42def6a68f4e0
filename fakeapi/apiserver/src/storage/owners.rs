//! Which objects name which owner, so that a deletion need not look at every object.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use super::{Key, Object};

/// Written objects by the uids in their `ownerReferences`. Objects without owners, nearly all,
/// take no room here.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Box<str>, BTreeSet<Key>, foldhash::fast::RandomState>);

impl Owners {
    pub(super) fn add(&mut self, key: &Key, object: &Object) {
        for uid in owners(object) {
            self.0.entry(uid).or_default().insert(key.clone());
        }
    }

    /// `old` is no longer what is under `key`; `new` is, and was added before.
    pub(super) fn replaced(&mut self, key: &Key, old: &Object, new: Option<&Object>) {
        let was = owners(old);
        if was.is_empty() {
            return;
        }
        let is = new.map(owners).unwrap_or_default();
        for uid in was.iter().filter(|uid| !is.contains(uid)) {
            if let Some(keys) = self.0.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.0.remove(uid);
                }
            }
        }
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.0.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ownerReferences", default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    uid: Box<str>,
}

/// The uids of an object's owners. Nothing is parsed for an object that cannot have any.
fn owners(object: &Object) -> Vec<Box<str>> {
    const FIELD: &[u8] = b"\"ownerReferences\"";
    let metadata = object.metadata();
    if !metadata.windows(FIELD.len()).any(|window| window == FIELD) {
        return Vec::new();
    }
    serde_json::from_slice(metadata)
        .map(|Metadata { references }| references.into_iter().map(|r| r.uid).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::ResourceId;

    fn object(owners: &[&str]) -> Object {
        let references: Vec<_> = owners.iter().map(|uid| json!({"uid": uid})).collect();
        let metadata = json!({"name": "x", "ownerReferences": references});
        Object::encode(&json!({"kind": "K", "apiVersion": "v1", "metadata": metadata}))
    }

    #[test]
    fn dependents_follow_their_references() {
        let key = Key::new(ResourceId::of("", "pods"), "ns", "x");
        let (one, two) = (object(&["a", "b"]), object(&["b", "c"]));
        let mut owners = Owners::default();
        owners.add(&key, &one);
        assert_eq!(owners.dependents("a"), std::slice::from_ref(&key));
        owners.add(&key, &two);
        owners.replaced(&key, &one, Some(&two));
        assert_eq!(owners.dependents("a"), []);
        assert_eq!(owners.dependents("b"), std::slice::from_ref(&key));
        owners.replaced(&key, &two, None);
        assert!(owners.0.is_empty(), "nothing is left behind");
    }
}
