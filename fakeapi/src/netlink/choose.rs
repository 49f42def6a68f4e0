//! Which mode serves the pools when the user names none, and the sentence that tells why.
//!
//! Pure, so that the whole choice is one table in a test. `secondary` is never chosen: it costs
//! what prefix mode does not, and only the user knows that their network wants real addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::Mode;

/// The network every Linux host delivers to itself without being told.
pub const LOOPBACK_NET: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));

/// What is served when no pool is named: 4 million addresses that need no privilege, away from
/// the low ones other programs take.
pub const DEFAULT_POOL: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 64, 0, 0), 10));

/// Bit of `CAP_NET_ADMIN` in a capability set.
const CAP_NET_ADMIN: u32 = 12;

/// What this process may do to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// `CAP_NET_ADMIN`: add routes, links and addresses.
    pub net_admin: bool,
}

impl Privileges {
    /// What the running process may do, from `/proc/self/status`.
    ///
    /// # Errors
    /// When the file cannot be read or has no effective capability set.
    pub fn of_this_process() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        Self::parse(&status).ok_or_else(|| {
            let text = "/proc/self/status has no readable CapEff line";
            std::io::Error::new(std::io::ErrorKind::InvalidData, text)
        })
    }

    fn parse(status: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        let effective = u64::from_str_radix(line.trim(), 16).ok()?;
        Some(Self { net_admin: effective & (1 << CAP_NET_ADMIN) != 0 })
    }
}

/// What the user said about addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The pools named, possibly none.
    pub pools: Vec<IpNet>,
    /// The one address named for all clusters.
    pub ip: Option<IpAddr>,
    /// The mode named.
    pub mode: Option<Mode>,
}

/// The mode to prepare, over which pools, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The mode.
    pub mode: Mode,
    /// The pools to serve; in mode `port` the one address as a host prefix.
    pub pools: Vec<IpNet>,
    /// A sentence for the user.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address mode {}: {}", self.mode, self.reason)
    }
}

/// Why no mode serves the wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// Pools and a single address exclude each other.
    #[error("either pools or one IP can be given, not both")]
    PoolsAndIp,
    /// The mode needs pools, the wish has an address, or the other way round.
    #[error("mode {mode} needs {needs}")]
    Needs {
        /// The mode named.
        mode: Mode,
        /// What it needs.
        needs: &'static str,
    },
    /// The pools need a privilege the process does not have.
    #[error(
        "pool {pool} is outside of 127.0.0.0/8 and needs CAP_NET_ADMIN: run as root, \
         `setcap cap_net_admin+ep` the binary, add NET_ADMIN to the container's capabilities, \
         or use a pool inside 127.0.0.0/8"
    )]
    NoPrivilege {
        /// The first pool that needs it.
        pool: IpNet,
    },
}

/// Chooses how the addresses the user wants are made to arrive here.
///
/// # Errors
/// When no mode can serve the wish with these privileges.
pub fn choose(wish: &Wish, privileges: Privileges) -> Result<Choice, ChooseError> {
    match (wish.ip, wish.pools.is_empty()) {
        (Some(_), false) => Err(ChooseError::PoolsAndIp),
        (Some(ip), true) => choose_port(ip, wish.mode),
        (None, _) => choose_for_pools(wish, privileges),
    }
}

fn choose_port(ip: IpAddr, asked: Option<Mode>) -> Result<Choice, ChooseError> {
    let reason = match asked {
        None => format!("one IP was given ({ip}), so every cluster gets a port of its own on it"),
        Some(Mode::Port) => "it was asked for".to_owned(),
        Some(mode) => {
            return Err(ChooseError::Needs { mode, needs: "pools, not one IP" });
        }
    };
    Ok(Choice { mode: Mode::Port, pools: vec![IpNet::from(ip)], reason })
}

fn choose_for_pools(wish: &Wish, privileges: Privileges) -> Result<Choice, ChooseError> {
    if wish.mode == Some(Mode::Port) {
        return Err(ChooseError::Needs { mode: Mode::Port, needs: "one IP, not pools" });
    }
    let named = !wish.pools.is_empty();
    let pools = if named { wish.pools.clone() } else { vec![DEFAULT_POOL] };
    let beyond = pools.iter().find(|pool| !LOOPBACK_NET.contains(*pool)).copied();
    let (mode, reason) = match (wish.mode, beyond) {
        (Some(Mode::Loopback), _) => (Mode::Loopback, "it was asked for".to_owned()),
        (Some(mode), _) if privileges.net_admin => (mode, "it was asked for".to_owned()),
        (Some(_), _) => return Err(ChooseError::NoPrivilege { pool: pools[0] }),
        (None, None) => (Mode::Loopback, loopback_reason(named)),
        (None, Some(pool)) if privileges.net_admin => (
            Mode::Prefix,
            format!(
                "pool {pool} is outside of 127.0.0.0/8 and this process has CAP_NET_ADMIN, so \
                     one local route a pool serves every address of it"
            ),
        ),
        (None, Some(pool)) => return Err(ChooseError::NoPrivilege { pool }),
    };
    Ok(Choice { mode, pools, reason })
}

fn loopback_reason(named: bool) -> String {
    if named {
        "every pool is inside 127.0.0.0/8, which is local already: nothing to set up".to_owned()
    } else {
        format!("no pool was given, and {DEFAULT_POOL} needs no privilege")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pools: &[&str], ip: Option<&str>, mode: Option<Mode>) -> Wish {
        Wish {
            pools: pools.iter().map(|pool| pool.parse().unwrap()).collect(),
            ip: ip.map(|ip| ip.parse().unwrap()),
            mode,
        }
    }

    #[test]
    fn the_whole_table() {
        use Mode::{Loopback, Port, Prefix, Secondary};
        let loopback: &[&str] = &["127.1.0.0/16"];
        let other: &[&str] = &["127.1.0.0/16", "10.0.0.0/16"];
        let v6: &[&str] = &["fd00::/64"];
        let cases = [
            (wish(&[], None, None), false, Ok((Loopback, "no pool was given"))),
            (wish(loopback, None, None), false, Ok((Loopback, "nothing to set up"))),
            (wish(loopback, None, None), true, Ok((Loopback, "nothing to set up"))),
            (wish(other, None, None), true, Ok((Prefix, "pool 10.0.0.0/16 is outside"))),
            (wish(v6, None, None), true, Ok((Prefix, "pool fd00::/64 is outside"))),
            (wish(other, None, None), false, Err("pool 10.0.0.0/16 is outside of 127.0.0.0/8")),
            (wish(v6, None, None), false, Err("setcap cap_net_admin+ep")),
            (wish(&["126.0.0.0/7"], None, None), false, Err("pool 126.0.0.0/7 is outside")),
            (wish(other, None, Some(Secondary)), true, Ok((Secondary, "it was asked for"))),
            (wish(other, None, Some(Secondary)), false, Err("needs CAP_NET_ADMIN")),
            (wish(&[], Some("10.1.2.3"), None), false, Ok((Port, "one IP was given (10.1.2.3)"))),
            (wish(&[], Some("10.1.2.3"), Some(Port)), false, Ok((Port, "asked for"))),
            (wish(&[], Some("10.1.2.3"), Some(Prefix)), true, Err("mode prefix needs pools")),
            (wish(other, None, Some(Port)), true, Err("mode port needs one IP")),
            (wish(other, Some("10.1.2.3"), None), true, Err("not both")),
        ];
        for (wish, net_admin, expected) in cases {
            let got = choose(&wish, Privileges { net_admin });
            match (&got, expected) {
                (Ok(choice), Ok((mode, reason))) => {
                    assert_eq!(choice.mode, mode, "{wish:?}");
                    assert!(choice.reason.contains(reason), "{wish:?}: {choice}");
                }
                (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
                _ => panic!("{wish:?}: {got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_forced_mode_without_the_privilege_is_refused_even_on_loopback_pools() {
        let wish = wish(&["127.1.0.0/16"], None, Some(Mode::Prefix));
        assert!(choose(&wish, Privileges { net_admin: false }).is_err());
    }

    #[test]
    fn reads_the_effective_set() {
        let status = |set: &str| format!("Name:\tx\nCapPrm:\tffffffff\nCapEff:\t{set}\n");
        let read = |set| Privileges::parse(&status(set)).map(|privileges| privileges.net_admin);
        assert_eq!(read("0000000000001000"), Some(true));
        assert_eq!(read("0000003fffffffff"), Some(true));
        assert_eq!(read("0000000000000fff"), Some(false));
        assert_eq!(read("nonsense"), None);
        Privileges::of_this_process().unwrap();
    }
}
