//! Which clusters there are, and how many hosts each needs.

/// How a cluster gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// fakeapi's reconciler registers it and writes its address: nobody calls fakeapi.
    Reconciler,
    /// As metal3's own scale test: `POST /register`, the answer put into the manifest's text.
    Register,
}

/// One cluster, in a namespace of its own name together with its hosts.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Its name and namespace.
    pub(super) name: String,
    /// How it gets its address.
    pub(super) way: Way,
    /// How many workers it begins with.
    pub(super) workers: usize,
    /// How many hosts are in its namespace.
    pub(super) hosts: usize,
}

/// Machines that a cluster which is scaled has more than others at the most: two control planes,
/// one worker.
const SPARE: usize = 3;

/// So many clusters, by turns of each way; the first of each way is the one that is scaled.
pub(super) fn plans(clusters: usize, workers: usize) -> Vec<Plan> {
    (0..clusters)
        .map(|number| {
            let spare = if number < 2 { SPARE } else { 0 };
            Plan {
                name: format!("scale-{:05}", number + 1),
                way: if number % 2 == 0 { Way::Reconciler } else { Way::Register },
                workers,
                hosts: 1 + workers + spare,
            }
        })
        .collect()
}

impl Plan {
    /// The MAC address its host `number` boots from: one of the locally administered ones.
    pub(super) fn mac(&self, number: usize) -> String {
        let cluster: usize = self.name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let bytes = [cluster >> 8, cluster, number >> 8, number].map(|n| n & 0xff);
        let [a, b, c, d] = bytes;
        format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn both_ways_are_taken_and_one_of_each_has_hosts_to_grow() {
        let plans = plans(4, 1);
        let ways: Vec<_> = plans.iter().map(|plan| plan.way).collect();
        assert_eq!(ways, [Way::Reconciler, Way::Register, Way::Reconciler, Way::Register]);
        let hosts: Vec<_> = plans.iter().map(|plan| plan.hosts).collect();
        assert_eq!(hosts, [5, 5, 2, 2]);
        let macs: HashSet<_> =
            plans.iter().flat_map(|plan| (0..plan.hosts).map(|n| plan.mac(n))).collect();
        assert_eq!(macs.len(), 14);
    }
}
