//! What happens to the clusters, from bare hosts to bare hosts.

use std::time::Duration;

use anyhow::{Context, Result};

use super::checks::{Checks, Missing};
use super::clusters::{self, Scaled};
use super::plan::{Plan, Way};
use super::world::World;
use super::{hosts, nodes};

/// How long a phase may take, whatever the number of clusters, and what each adds to that. The
/// operator takes its time for a host even where there is none.
const PATIENCE: Duration = Duration::from_mins(8);
const PATIENCE_EACH: Duration = Duration::from_secs(30);

/// How many clusters are made at the same time. metal3's own scale test makes ten.
const AT_ONCE: usize = 4;

/// Control planes of a cluster that has grown.
const GROWN: usize = 3;

/// Tells it all.
///
/// # Errors
/// When something cannot be asked for, or a phase does not end that the next ones need.
pub(super) fn tell(world: &mut World, plans: &[Plan], checks: &mut Checks) -> Result<()> {
    Story { patience: patience(plans.len())?, world, plans, checks }.tell()
}

fn patience(clusters: usize) -> Result<Duration> {
    Ok(PATIENCE + PATIENCE_EACH * u32::try_from(clusters)?)
}

struct Story<'a> {
    world: &'a mut World,
    plans: &'a [Plan],
    checks: &'a mut Checks,
    patience: Duration,
}

impl<'a> Story<'a> {
    fn tell(&mut self) -> Result<()> {
        self.hosts()?;
        self.clusters()?;
        self.nodes("every node carries its host's uid and provider ID")?;
        // One of each way.
        let scaled = self.plans.get(..2).context("there are too few clusters")?;
        self.grow(scaled)?;
        self.workers(scaled, 1)?;
        self.workers(scaled, 0)?;
        self.shrink(scaled)?;
        self.nodes("after all of that, nodes and hosts still agree")?;
        self.end()
    }

    fn hosts(&mut self) -> Result<()> {
        let kubectl = self.world.kubectl();
        each(self.plans, |plan| hosts::create(&kubectl, plan))?;
        let wanted = self.plans.iter().map(|plan| plan.hosts).sum();
        let mut api = self.world.api();
        self.phase(&format!("{wanted} hosts become available"), move |_| {
            hosts::unavailable(&mut api, wanted)
        })
    }

    fn clusters(&mut self) -> Result<()> {
        let (kubectl, control) = (self.world.kubectl(), self.world.control());
        each(self.plans, |plan| clusters::create(&kubectl, control, plan))?;
        let (mut api, plans) = (self.world.api(), self.plans);
        self.phase(&format!("{} clusters become Available", plans.len()), |_| {
            clusters::unavailable(&mut api, plans)
        })
    }

    /// Control planes are added, and the program is killed and started again in between.
    fn grow(&mut self, scaled: &'a [Plan]) -> Result<()> {
        let mut api = self.world.api();
        for plan in scaled {
            clusters::scale(&mut api, plan, Scaled::ControlPlane, GROWN)?;
        }
        // A host of the second control plane is being written when the program is not there.
        self.phase("hosts are taken for the second control planes", |_| {
            let mut missing = Missing::new();
            for plan in scaled {
                let used = used(&hosts::of(&mut api, &plan.name)?);
                if used < 2 + plan.workers {
                    missing.push(format!("{} uses {used} hosts", plan.name));
                }
            }
            Ok(missing)
        })?;
        self.world.program().kill()?;
        self.phase("with fakeapi killed, these hosts become provisioned all the same", |_| {
            let mut missing = Missing::new();
            for plan in scaled {
                let hosts = hosts::of(&mut api, &plan.name)?;
                let ready = hosts.iter().filter(|host| hosts::state(host) == "provisioned").count();
                if ready < 2 + plan.workers {
                    missing.push(format!("{} has {ready} provisioned hosts", plan.name));
                }
            }
            Ok(missing)
        })?;
        self.world.program().restart()?;
        self.size("started again, control planes grow from 1 to 3", scaled, GROWN, |p| p.workers)?;
        self.available(scaled)
    }

    fn workers(&mut self, scaled: &'a [Plan], more: usize) -> Result<()> {
        let mut api = self.world.api();
        for plan in scaled {
            clusters::scale(&mut api, plan, Scaled::Workers, plan.workers + more)?;
        }
        let name = if more > 0 { "a worker is added" } else { "a worker is taken away" };
        self.size(name, scaled, GROWN, |plan| plan.workers + more)
    }

    fn shrink(&mut self, scaled: &'a [Plan]) -> Result<()> {
        let mut api = self.world.api();
        for plan in scaled {
            clusters::scale(&mut api, plan, Scaled::ControlPlane, 1)?;
        }
        self.size("control planes shrink from 3 to 1", scaled, 1, |plan| plan.workers)?;
        self.available(scaled)
    }

    /// Deletes everything; what the management cluster and the program are left with.
    fn end(&mut self) -> Result<()> {
        let (mut api, plans) = (self.world.api(), self.plans);
        for plan in plans {
            clusters::delete(&mut api, plan)?;
        }
        let wanted = plans.iter().map(|plan| plan.hosts).sum();
        self.phase("clusters are deleted with nothing left, hosts are available", |_| {
            let mut missing = clusters::left_over(&mut api)?;
            missing.extend(hosts::unavailable(&mut api, wanted)?);
            Ok(missing)
        })?;
        // Hosts stay: their end is between them and BMO, whose test mode has one power switch for
        // all of them.
        self.unregistered()
    }

    /// What the reconciler registered, it unregisters; what a user did is the user's to take away.
    fn unregistered(&mut self) -> Result<()> {
        let plans = self.plans;
        let users = |name: &String| {
            plans.iter().any(|plan| plan.way == Way::Register && plan.name == *name)
        };
        self.phase("the reconciler has unregistered its own clusters", |world| {
            Ok(world.registered()?.into_iter().filter(|name| !users(name)).collect())
        })?;
        for name in self.world.registered()? {
            clusters::unregister(self.world.control(), &name)?;
        }
        let mut missing = self.world.registered()?;
        let used = self.world.figure("fakeapi_pool_addresses_used")?;
        if used > 0.0 {
            missing.push(format!("{used} addresses are in use"));
        }
        self.checks.now("the others are unregistered by request, all addresses are free", &missing);
        Ok(())
    }

    fn available(&mut self, plans: &'a [Plan]) -> Result<()> {
        let mut api = self.world.api();
        self.soon("both are Available", |_| clusters::unavailable(&mut api, plans))
    }

    /// Clusters come to have so many machines, use so many hosts, and no more.
    fn size<W>(&mut self, name: &str, plans: &'a [Plan], control: usize, workers: W) -> Result<()>
    where
        W: Fn(&Plan) -> usize,
    {
        let mut api = self.world.api();
        self.phase(name, |_| {
            let mut missing = Missing::new();
            for plan in plans {
                let workers = workers(plan);
                missing.extend(clusters::unscaled(&mut api, plan, control, workers)?);
                let hosts = hosts::of(&mut api, &plan.name)?;
                let free = hosts.iter().filter(|host| hosts::state(host) == "available").count();
                if free + control + workers != hosts.len() {
                    missing.push(format!("{} has {free} free hosts", plan.name));
                }
            }
            Ok(missing)
        })?;
        self.nodes(&format!("nodes and hosts agree: {name}"))
    }

    /// Nodes are looked at until they are right: a Node goes a moment after its Machine.
    fn nodes(&mut self, name: &str) -> Result<()> {
        let (mut api, plans) = (self.world.api(), self.plans);
        let folder = self.world.folder().to_owned();
        self.soon(name, |_| {
            let mut missing = Missing::new();
            for plan in plans {
                missing.extend(nodes::wrong(&mut api, &plan.name, &folder)?);
            }
            Ok(missing)
        })
    }

    fn soon<F>(&mut self, name: &str, mut missing: F) -> Result<()>
    where
        F: FnMut(&World) -> Result<Missing>,
    {
        let Self { world, checks, patience, .. } = self;
        let looked = checks.soon(name, *patience, || {
            world.check()?;
            missing(world)
        });
        looked.map(drop)
    }

    fn phase<F>(&mut self, name: &str, mut missing: F) -> Result<()>
    where
        F: FnMut(&World) -> Result<Missing>,
    {
        let Self { world, checks, patience, .. } = self;
        checks.phase(name, *patience, || {
            world.check()?;
            missing(world)
        })
    }
}

/// How many hosts somebody uses.
fn used(hosts: &[serde_json::Value]) -> usize {
    hosts.iter().filter(|host| !host["spec"]["consumerRef"].is_null()).count()
}

/// Does something for every plan, some at the same time.
fn each<F>(plans: &[Plan], what: F) -> Result<()>
where
    F: Fn(&Plan) -> Result<()> + Sync,
{
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                let what = &what;
                let mut plans = plans.iter().skip(first).step_by(AT_ONCE);
                scope.spawn(move || plans.try_for_each(|p| what(p).context(p.name.clone())))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        })
    })
}
