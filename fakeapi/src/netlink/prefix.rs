//! Mode `prefix`: one local route delivers every address of a pool (AnyIP).
//!
//! The route carries a protocol number of our own. That mark is all the memory there is: a run
//! that was killed left routes, the next run finds them by the mark, keeps those it needs and
//! removes the rest.

use ipnet::IpNet;

use super::kernel::{Change, Kernel, Link, TABLE_LOCAL};
use super::overlap::Host;
use super::{LOOPBACK_NET, NetlinkError, ROUTE_PROTOCOL};

/// The routes this run answers for.
#[derive(Debug)]
pub(super) struct Prefixes {
    pools: Vec<IpNet>,
    loopback: Link,
}

impl Prefixes {
    /// Makes the marked routes of the kernel exactly those of `pools`.
    pub(super) async fn prepare<K: Kernel>(
        kernel: &K,
        host: &Host,
        pools: &[IpNet],
        loopback: Link,
    ) -> Result<Self, NetlinkError> {
        // A pool inside 127.0.0.0/8 beside others is local without a route.
        let beyond = pools.iter().filter(|pool| !LOOPBACK_NET.contains(*pool));
        let pools: Vec<IpNet> = beyond.map(IpNet::trunc).collect();
        let left = host.routes.iter().filter(|route| {
            route.protocol == ROUTE_PROTOCOL && route.table == TABLE_LOCAL && route.local
        });
        let left: Vec<IpNet> = left.map(|route| route.destination).collect();
        let prefixes = Self { pools, loopback };
        for stale in left.iter().filter(|route| !prefixes.pools.contains(route)) {
            prefixes.change(kernel, Change::Remove, *stale).await?;
            tracing::info!(route = %stale, "removed a local route a former run left");
        }
        for (position, pool) in prefixes.pools.iter().enumerate() {
            if left.contains(pool) {
                tracing::info!(%pool, "adopted the local route of a former run");
            } else if let Err(error) = prefixes.change(kernel, Change::Add, *pool).await {
                prefixes.undo(kernel, &prefixes.pools[..position]).await;
                return Err(error);
            }
        }
        Ok(prefixes)
    }

    /// Takes back the routes of a start that failed.
    async fn undo<K: Kernel>(&self, kernel: &K, pools: &[IpNet]) {
        for pool in pools {
            if let Err(error) = self.change(kernel, Change::Remove, *pool).await {
                tracing::warn!(%error, "a route of a failed start stays behind");
            }
        }
    }

    /// Removes the routes; tries all of them before it reports the first failure.
    pub(super) async fn remove<K: Kernel>(&self, kernel: &K) -> Result<(), NetlinkError> {
        let mut outcome = Ok(());
        for pool in &self.pools {
            let removed = self.change(kernel, Change::Remove, *pool).await;
            outcome = outcome.and(removed);
        }
        outcome
    }

    async fn change<K: Kernel>(
        &self,
        kernel: &K,
        change: Change,
        pool: IpNet,
    ) -> Result<(), NetlinkError> {
        match kernel.change_local_route(change, pool, self.loopback.index).await {
            Ok(()) => Ok(()),
            Err(cause) if change.is_done_already(&cause) => Ok(()),
            Err(source) => {
                let link = self.loopback.name.clone();
                Err(NetlinkError::Route { verb: change.verb(), pool, link, source })
            }
        }
    }
}
