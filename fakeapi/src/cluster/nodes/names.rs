//! Names that are derived from nodes, and back.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The characters of generated names, in byte order so that numbers and names sort alike.
const ALPHABET: &[u8; 27] = b"2456789bcdfghjklmnpqrstvwxz";

/// How long a generated suffix is.
const SUFFIX: usize = 5;

/// How many suffixes there are.
pub(crate) const SUFFIXES: u32 = 27_u32.pow(5);

/// Spreads neighbouring numbers; coprime to [`SUFFIXES`], so that no two of them meet.
const SPREAD: u64 = 9_699_691;

/// The hash in the names of coredns' pods, which is that of the `ReplicaSet` in the baseline.
pub(crate) const DNS_PREFIX: &str = "coredns-7d764666f9-";

/// A pod that runs on a node because of what the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodKind {
    /// Of the `DaemonSet`, on every node.
    KubeProxy,
    /// Static, on control planes, like those that follow.
    Etcd,
    /// Static.
    ApiServer,
    /// Static.
    ControllerManager,
    /// Static.
    Scheduler,
}

impl PodKind {
    /// The static pods, in the order in which they come.
    pub const STATIC: [Self; 4] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    /// The pods in the order of their names.
    pub(crate) const BY_NAME: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::KubeProxy, Self::Scheduler];

    /// What stands before the node in the pod's name.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::KubeProxy => "kube-proxy-",
            Self::Etcd => "etcd-",
            Self::ApiServer => "kube-apiserver-",
            Self::ControllerManager => "kube-controller-manager-",
            Self::Scheduler => "kube-scheduler-",
        }
    }

    /// The component, and the name of its container.
    pub fn component(self) -> &'static str {
        let prefix = self.prefix();
        &prefix[..prefix.len() - 1]
    }

    /// How many places after the pods' first revision this one's is.
    pub(crate) fn offset(self) -> u64 {
        match self {
            Self::KubeProxy => 0,
            Self::Etcd => 1,
            Self::ApiServer => 2,
            Self::ControllerManager => 3,
            Self::Scheduler => 4,
        }
    }
}

/// A number for a generated suffix, from a revision of a cluster.
pub(crate) fn spread(seed: u64, revision: u64) -> u32 {
    let number =
        (u128::from(revision) * u128::from(SPREAD) + u128::from(seed)) % u128::from(SUFFIXES);
    u32::try_from(number).expect("a remainder is smaller than its divisor")
}

/// The five characters of a number below [`SUFFIXES`].
pub(crate) fn suffix(mut number: u32) -> String {
    let mut characters = [0; SUFFIX];
    for character in characters.iter_mut().rev() {
        *character = ALPHABET[(number % 27) as usize];
        number /= 27;
    }
    characters.map(char::from).iter().collect()
}

/// The number of five characters.
pub(crate) fn number(suffix: &str) -> Option<u32> {
    if suffix.len() != SUFFIX {
        return None;
    }
    suffix.bytes().try_fold(0, |number, byte| {
        let digit = ALPHABET.binary_search(&byte).ok()?;
        Some(number * 27 + u32::try_from(digit).ok()?)
    })
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_sort_as_their_numbers_and_come_back() {
        let numbers = [0, 1, 26, 27, 12_345, SUFFIXES - 1];
        let texts: Vec<String> = numbers.iter().map(|n| suffix(*n)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (text, value) in texts.iter().zip(numbers) {
            assert_eq!(number(text), Some(value));
        }
        for wrong in ["", "2222", "222222", "2222a", "22é2"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn revisions_of_one_cluster_do_not_meet() {
        let mut seen: Vec<u32> = (0..50_000).map(|revision| spread(7, revision)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 50_000);
        assert!(seen.iter().all(|n| *n < SUFFIXES));
        assert_ne!(spread(7, 1), spread(8, 1));
    }

    #[test]
    fn the_order_by_name_is_one() {
        let prefixes = PodKind::BY_NAME.map(PodKind::prefix);
        assert!(prefixes.is_sorted());
        assert!(DNS_PREFIX < prefixes[0]);
    }
}
