//! The images that kubeadm of a release deploys beside Kubernetes' own.

/// Tags of images that do not follow the Kubernetes version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTags {
    /// `coredns/coredns`
    pub coredns: &'static str,
    /// `etcd`
    pub etcd: &'static str,
    /// `pause`
    pub pause: &'static str,
}

/// By minor version, oldest first: `CoreDNSVersion`, `DefaultEtcdVersion` and `PauseVersion` in
/// kubeadm's constants at the release's first patch (1.36 as of 1.36.3).
const RELEASES: [(u32, ImageTags); 9] = [
    (28, tags("v1.10.1", "3.5.9-0", "3.9")),
    (29, tags("v1.11.1", "3.5.10-0", "3.9")),
    (30, tags("v1.11.1", "3.5.12-0", "3.9")),
    (31, tags("v1.11.1", "3.5.15-0", "3.10")),
    (32, tags("v1.11.3", "3.5.16-0", "3.10")),
    (33, tags("v1.12.0", "3.5.21-0", "3.10")),
    (34, tags("v1.12.1", "3.6.4-0", "3.10.1")),
    (35, tags("v1.13.1", "3.6.6-0", "3.10.1")),
    (36, tags("v1.14.2", "3.6.8-0", "3.10.2")),
];

const fn tags(coredns: &'static str, etcd: &'static str, pause: &'static str) -> ImageTags {
    ImageTags { coredns, etcd, pause }
}

impl ImageTags {
    /// The tags that go with `version` (`v1.33.2`); those of the nearest known release when it
    /// is older or newer than all.
    pub fn of(version: &str) -> Self {
        let minor = minor(version).unwrap_or(u32::MAX);
        let known = RELEASES.iter().rev().find(|(known, _)| *known <= minor);
        known.map_or(RELEASES[0].1, |(_, tags)| *tags)
    }
}

/// The second number of a version.
pub(crate) fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_nearest_release() {
        for (version, coredns) in [
            ("v1.36.3", "v1.14.2"),
            ("v1.99.0", "v1.14.2"),
            ("v1.33.0-rc.1+x", "v1.12.0"),
            ("1.32.5", "v1.11.3"),
            ("v1.20.0", "v1.10.1"),
            ("no version", "v1.14.2"),
        ] {
            assert_eq!(ImageTags::of(version).coredns, coredns, "{version}");
        }
    }
}
