//! Mode `secondary`: one /32 or /128 a cluster on dummy links, for networks that need addresses
//! to be real (a routing daemon that announces them, a firewall that lists them).
//!
//! The kernel keeps the addresses of one device in a list and walks it for each change, so their
//! cost grows with the square: 20,000 on one device took 9 s to add. Spread over links of
//! [`PER_LINK`] the cost stays linear.

use std::collections::BTreeSet;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};

use super::NetlinkError;
use super::kernel::{Change, Kernel, Link, LinkIndex, LinkKind};
use super::overlap::Host;

/// Addresses on one link. By the measurement above a link is filled in about 0.4 s, and a
/// hundred thousand addresses take 25 links.
pub const PER_LINK: usize = 4096;

/// Links we make at most: a quarter of a million addresses.
pub const MAX_LINKS: usize = 64;

/// A dummy link of ours and how full it is.
#[derive(Debug)]
struct Dummy {
    index: LinkIndex,
    name: String,
    used: usize,
}

/// The links, and which has which address.
#[derive(Debug)]
pub(super) struct Secondary {
    link_prefix: String,
    links: Vec<Dummy>,
    /// Position in `links` of each address.
    places: HashMap<IpAddr, usize>,
}

/// Whether a link is a dummy with our name: the prefix and a number.
pub(super) fn is_ours(link: &Link, link_prefix: &str) -> bool {
    link.kind == LinkKind::Dummy && number(&link.name, link_prefix).is_some()
}

fn number(name: &str, link_prefix: &str) -> Option<usize> {
    let digits = name.strip_prefix(link_prefix)?;
    let number = digits.parse().ok()?;
    // `fakeapi007` and `fakeapi+7` would parse, but are not names we give.
    (format!("{link_prefix}{number}") == name).then_some(number)
}

/// Removes the links a run in this mode left, for a run in another.
pub(super) async fn remove_left<K: Kernel>(
    kernel: &K,
    host: &Host,
    link_prefix: &str,
) -> Result<(), NetlinkError> {
    for link in host.links.iter().filter(|link| is_ours(link, link_prefix)) {
        remove_link(kernel, link.index, &link.name).await?;
        tracing::info!(link = link.name, "removed a dummy link a former run left");
    }
    Ok(())
}

async fn remove_link<K: Kernel>(
    kernel: &K,
    index: LinkIndex,
    name: &str,
) -> Result<(), NetlinkError> {
    match kernel.remove_link(index).await {
        Err(source) if !Change::Remove.is_done_already(&source) => {
            Err(NetlinkError::Link { verb: "remove", link: name.to_owned(), source })
        }
        _ => Ok(()),
    }
}

impl Secondary {
    /// Adopts what a former run left: links with our name, and the addresses among `wanted`;
    /// removes their other addresses and adds what is missing.
    pub(super) async fn prepare<K: Kernel>(
        kernel: &K,
        host: &Host,
        wanted: &[IpAddr],
        link_prefix: &str,
    ) -> Result<Self, NetlinkError> {
        let mut state =
            Self { link_prefix: link_prefix.to_owned(), links: Vec::new(), places: HashMap::new() };
        let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
        for link in host.links.iter().filter(|link| is_ours(link, link_prefix)) {
            state.adopt(kernel, host, link, &wanted).await?;
        }
        let missing: Vec<IpAddr> = wanted.into_iter().collect();
        if !state.links.is_empty() {
            let (links, addresses) = (state.links.len(), state.places.len());
            tracing::info!(links, addresses, "adopted the dummy links of a former run");
            state.add(kernel, &missing).await?;
            return Ok(state);
        }
        // Also when no address is wanted yet: a kernel without the driver is told of at start.
        state.add_link(kernel).await?;
        if let Err(error) = state.add(kernel, &missing).await {
            if let Err(undone) = state.remove_links(kernel).await {
                tracing::warn!(error = %undone, "a link of a failed start stays behind");
            }
            return Err(error);
        }
        Ok(state)
    }

    async fn adopt<K: Kernel>(
        &mut self,
        kernel: &K,
        host: &Host,
        link: &Link,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(), NetlinkError> {
        if !link.up {
            kernel.set_up(link.index).await.map_err(|source| NetlinkError::Link {
                verb: "set up",
                link: link.name.clone(),
                source,
            })?;
        }
        let position = self.links.len();
        self.links.push(Dummy { index: link.index, name: link.name.clone(), used: 0 });
        let there = host.addresses.iter().filter(|address| address.link == link.index);
        // The kernel's own link-local address has a prefix; only whole-host ones are ours.
        let ours = there.filter(|address| address.net.prefix_len() == address.net.max_prefix_len());
        let mut surplus = Vec::new();
        for ip in ours.map(|address| address.net.addr()) {
            if wanted.contains(&ip) && !self.places.contains_key(&ip) {
                self.put(ip, position);
            } else {
                surplus.push(ip);
            }
        }
        self.change(kernel, Change::Remove, position, &surplus).await
    }

    /// Adds addresses; those that are there already stay.
    pub(super) async fn add<K: Kernel>(
        &mut self,
        kernel: &K,
        ips: &[IpAddr],
    ) -> Result<(), NetlinkError> {
        let unique: BTreeSet<IpAddr> = ips.iter().copied().collect();
        let missing = unique.into_iter().filter(|ip| !self.places.contains_key(ip));
        let mut missing: Vec<IpAddr> = missing.collect();
        if self.places.len() + missing.len() > MAX_LINKS * PER_LINK {
            return Err(NetlinkError::TooMany { limit: MAX_LINKS * PER_LINK });
        }
        let mut outcome = Ok(());
        while !missing.is_empty() {
            let position = self.link_with_room(kernel).await?;
            let room = PER_LINK - self.links[position].used;
            let part: Vec<IpAddr> = missing.drain(..room.min(missing.len())).collect();
            for ip in &part {
                self.put(*ip, position);
            }
            outcome = outcome.and(self.change(kernel, Change::Add, position, &part).await);
        }
        outcome
    }

    /// Removes addresses; those that are not there are gone already.
    pub(super) async fn remove<K: Kernel>(
        &mut self,
        kernel: &K,
        ips: &[IpAddr],
    ) -> Result<(), NetlinkError> {
        let mut per_link: Vec<Vec<IpAddr>> = vec![Vec::new(); self.links.len()];
        for ip in ips.iter().copied().collect::<BTreeSet<_>>() {
            if let Some(position) = self.places.get(&ip) {
                per_link[*position].push(ip);
            }
        }
        let mut outcome = Ok(());
        for (position, ips) in per_link.iter().enumerate() {
            outcome = outcome.and(self.change(kernel, Change::Remove, position, ips).await);
        }
        outcome
    }

    /// Removes our links, and with them every address.
    pub(super) async fn remove_links<K: Kernel>(&self, kernel: &K) -> Result<(), NetlinkError> {
        let mut outcome = Ok(());
        for link in &self.links {
            outcome = outcome.and(remove_link(kernel, link.index, &link.name).await);
        }
        outcome
    }

    /// Sends one link's changes and books what came of them. When the kernel does not answer,
    /// the books say what makes the caller's next try send the change again.
    async fn change<K: Kernel>(
        &mut self,
        kernel: &K,
        change: Change,
        position: usize,
        ips: &[IpAddr],
    ) -> Result<(), NetlinkError> {
        let Some(first) = ips.first() else {
            return Ok(());
        };
        let link = &self.links[position];
        let failed = |ip, others, source| NetlinkError::Address {
            verb: change.verb(),
            ip,
            link: link.name.clone(),
            others,
            source,
        };
        let mut refusals = match kernel.change_addresses(change, link.index, ips).await {
            Ok(refusals) => refusals,
            Err(source) => {
                let error = failed(*first, ips.len() - 1, source);
                if change == Change::Add {
                    for ip in ips {
                        self.forget(*ip, position);
                    }
                }
                return Err(error);
            }
        };
        refusals.retain(|refusal| !change.is_done_already(&refusal.cause));
        let refused: BTreeSet<IpAddr> = refusals.iter().map(|refusal| refusal.ip).collect();
        let others = refusals.len().saturating_sub(1);
        let outcome = match refusals.into_iter().next() {
            None => Ok(()),
            Some(refusal) => Err(failed(refusal.ip, others, refusal.cause)),
        };
        for ip in ips {
            if refused.contains(ip) == (change == Change::Add) {
                self.forget(*ip, position);
            }
        }
        outcome
    }

    fn put(&mut self, ip: IpAddr, position: usize) {
        self.places.insert(ip, position);
        self.links[position].used += 1;
    }

    fn forget(&mut self, ip: IpAddr, position: usize) {
        if self.places.get(&ip) == Some(&position) {
            self.places.remove(&ip);
            self.links[position].used -= 1;
        }
    }

    async fn link_with_room<K: Kernel>(&mut self, kernel: &K) -> Result<usize, NetlinkError> {
        match self.links.iter().position(|link| link.used < PER_LINK) {
            Some(position) => Ok(position),
            None => self.add_link(kernel).await,
        }
    }

    async fn add_link<K: Kernel>(&mut self, kernel: &K) -> Result<usize, NetlinkError> {
        let numbers = self.links.iter().filter_map(|link| number(&link.name, &self.link_prefix));
        let used: BTreeSet<usize> = numbers.collect();
        let free = (0..=used.len()).find(|number| !used.contains(number));
        let free = free.expect("n numbers leave one of 0..=n free");
        let name = format!("{}{free}", self.link_prefix);
        let index = match kernel.add_dummy(&name).await {
            Ok(index) => index,
            Err(source) => return Err(cannot_add_link(name, source)),
        };
        self.links.push(Dummy { index, name, used: 0 });
        Ok(self.links.len() - 1)
    }
}

fn cannot_add_link(link: String, source: std::io::Error) -> NetlinkError {
    match source.raw_os_error() {
        // What the kernel answers for a link type nobody registered.
        Some(libc::EOPNOTSUPP) => NetlinkError::NoDummyDriver { link, source },
        Some(libc::EEXIST) => NetlinkError::ForeignLink { link },
        _ => NetlinkError::Link { verb: "add dummy", link, source },
    }
}
