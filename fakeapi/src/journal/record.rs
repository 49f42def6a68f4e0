//! What is written down, and how one record is laid out.
//!
//! A payload is a kind byte and its fields: numbers as LEB128 varints, texts with their length
//! before them. The last field of a record has no length, because the frame has one. Nothing is
//! copied on the way in or out: records borrow.

use super::ClusterId;

/// One thing that must survive, about one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The cluster is registered. For a cluster that is known already: its registration is now
    /// this one, and nothing else changes.
    Cluster {
        /// The revision of the cluster's store: in a snapshot, the one the snapshot was taken
        /// at, so that older records of the log are known to be in it.
        revision: u64,
        /// The registration, in the caller's own form.
        body: &'a [u8],
    },
    /// The cluster and all it held are gone. Its id is not used again.
    Gone,
    /// A change of the cluster's base, or in a snapshot the whole of it.
    Base {
        /// The last revision that the change made: higher than that of every record of the
        /// cluster before it, because a snapshot at this revision stands for it.
        revision: u64,
        /// The change, in the caller's own form.
        body: &'a [u8],
    },
    /// One object was written, or removed.
    Object {
        /// The revision of the change, higher than those before it as for [`Record::Base`]; in
        /// a snapshot, at most that of the snapshot.
        revision: u64,
        /// Which object.
        key: ObjectKey<'a>,
        /// What it is now; `None` removes it (and hides the base's).
        object: Option<ObjectBytes<'a>>,
    },
}

/// The name of an object, in names: the numbers of a process mean nothing in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey<'a> {
    /// The API group, "" for the core group.
    pub group: &'a str,
    /// The resource in plural, "configmaps".
    pub resource: &'a str,
    /// The namespace, "" for cluster-scoped kinds.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// An object as it is kept and served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectBytes<'a> {
    /// Compact JSON. Labels are parsed from it again, they are not written twice.
    pub json: &'a [u8],
    /// The offset of `"metadata"` in `json`.
    pub rest: u16,
}

impl Record<'_> {
    /// The revision the record carries, if its kind has one that a snapshot can be ahead of.
    pub(super) fn change_revision(&self) -> Option<u64> {
        match self {
            Self::Base { revision, .. } | Self::Object { revision, .. } => Some(*revision),
            Self::Cluster { .. } | Self::Gone => None,
        }
    }
}

const CLUSTER: u8 = 1;
const GONE: u8 = 2;
const BASE: u8 = 3;
const PUT: u8 = 4;
const REMOVE: u8 = 5;
const END: u8 = 6;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    /// A record of a cluster.
    Record(ClusterId, Record<'a>),
    /// The end of a snapshot, and how many records came before it.
    End {
        /// Records before this mark.
        records: u64,
    },
}

impl<'a> Payload<'a> {
    /// Appends the payload to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (cluster, record) = match self {
            Self::End { records } => {
                out.push(END);
                return put_number(out, *records);
            }
            Self::Record(cluster, record) => (cluster.0, record),
        };
        let mut open = |kind: u8, revision: Option<u64>| {
            out.push(kind);
            put_number(out, cluster);
            if let Some(revision) = revision {
                put_number(out, revision);
            }
        };
        match record {
            Record::Gone => open(GONE, None),
            Record::Cluster { revision, body } => {
                open(CLUSTER, Some(*revision));
                out.extend_from_slice(body);
            }
            Record::Base { revision, body } => {
                open(BASE, Some(*revision));
                out.extend_from_slice(body);
            }
            Record::Object { revision, key, object } => {
                open(if object.is_some() { PUT } else { REMOVE }, Some(*revision));
                for text in [key.group, key.resource, key.namespace, key.name] {
                    put_number(out, text.len() as u64);
                    out.extend_from_slice(text.as_bytes());
                }
                if let Some(object) = object {
                    put_number(out, u64::from(object.rest));
                    out.extend_from_slice(object.json);
                }
            }
        }
    }

    /// Reads a payload; `None` when it is not one.
    pub(super) fn decode(payload: &'a [u8]) -> Option<Self> {
        let (&kind, bytes) = payload.split_first()?;
        let mut fields = Fields(bytes);
        let number = fields.number()?;
        let cluster = ClusterId(number);
        let record = match kind {
            END => return fields.ended(Self::End { records: number }),
            GONE => return fields.ended(Self::Record(cluster, Record::Gone)),
            CLUSTER => Record::Cluster { revision: fields.number()?, body: fields.0 },
            BASE => Record::Base { revision: fields.number()?, body: fields.0 },
            PUT | REMOVE => {
                let revision = fields.number()?;
                let key = fields.key()?;
                let object = if kind == PUT {
                    let rest = u16::try_from(fields.number()?).ok()?;
                    Some(ObjectBytes { rest, json: fields.0 })
                } else {
                    fields.ended(None)?
                };
                Record::Object { revision, key, object }
            }
            _ => return None,
        };
        Some(Self::Record(cluster, record))
    }

    /// Whether the first bytes of a payload can be those of a record of `shard`: the cheap
    /// question before a checksum, when looking for the next good record behind a bad one.
    pub(super) fn plausible(head: &[u8], shard: u32) -> bool {
        match head.split_first() {
            Some((&END, _)) => true,
            Some((CLUSTER..=REMOVE, rest)) => {
                Fields(rest).number().is_some_and(|id| ClusterId(id).shard() == shard)
            }
            _ => false,
        }
    }
}

/// The most bytes a varint takes.
pub(super) const NUMBER_MAX: usize = 10;

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// The fields of a payload that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for at in 0..NUMBER_MAX {
            let byte = *self.0.get(at)?;
            let bits = u64::from(byte & 0x7f);
            if at + 1 == NUMBER_MAX && bits > 1 {
                return None;
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    fn key(&mut self) -> Option<ObjectKey<'a>> {
        Some(ObjectKey {
            group: self.text()?,
            resource: self.text()?,
            namespace: self.text()?,
            name: self.text()?,
        })
    }

    /// `value`, if nothing is left over.
    fn ended<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trips(payload: &Payload<'_>) {
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert_eq!(Payload::decode(&bytes).as_ref(), Some(payload));
        if let Payload::Record(cluster, _) = payload {
            assert!(Payload::plausible(&bytes, cluster.shard()));
            assert!(!Payload::plausible(&bytes, cluster.shard() ^ 1));
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_as_it_was_written(
            id: u64, revision: u64, rest: u16, records: u64,
            texts in proptest::array::uniform4(".{0,20}"),
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let [group, resource, namespace, name] = &texts;
            let key = ObjectKey { group, resource, namespace, name };
            let json = &body[..];
            for record in [
                Record::Cluster { revision, body: json },
                Record::Gone,
                Record::Base { revision, body: json },
                Record::Object { revision, key, object: Some(ObjectBytes { json, rest }) },
                Record::Object { revision, key, object: None },
            ] {
                round_trips(&Payload::Record(ClusterId(id), record));
            }
            round_trips(&Payload::End { records });
        }

        #[test]
        fn bytes_of_a_stranger_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Payload::decode(&bytes);
            let _ = Payload::plausible(&bytes, 3);
        }
    }

    #[test]
    fn what_is_left_over_or_cut_short_is_refused() {
        for (bytes, why) in [
            (&b""[..], "nothing"),
            (b"\x02\x01\x00", "a byte after Gone"),
            (b"\x06\x01\x00", "a byte after the end mark"),
            (b"\x07\x01", "an unknown kind"),
            (b"\x04\x01\x01\x05ab", "a text shorter than it says"),
            (b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", "a number beyond 64 bits"),
            (b"\x05\x01\x01\x00\x00\x00\x01\xff", "a name that is not UTF-8"),
        ] {
            assert_eq!(Payload::decode(bytes), None, "{why}");
        }
    }
}
