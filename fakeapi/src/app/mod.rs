//! The running program: every part is built bottom-up here, owned here, and stopped in order.

mod claim;
mod config;
mod data;
mod demo;
mod kernel;
mod metrics;
mod options;
mod ready;
mod reconcile;
mod signals;

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::{ApiServer, generated};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use claim::Claims;
use data::Kept;
pub use metrics::Renderer;
pub use options::{CONTROL_PORT, FKAS_PORTS, Kernel, PortRange, RunOptions, Sync};

use reconcile::Reconciling;
pub use reconcile::reconcile;
use signals::Signals;

use crate::cluster::baseline::Baseline;
use crate::cluster::identity::ServingKey;
use crate::datapath::Datapath;
use crate::fkas::{self, ControlServer};
use crate::ipam::{Ipam, Plan};
use crate::journal::{Journal, Live, Replay};
use crate::manage::ManagementCluster;
use crate::netlink::{self, Choice, Mode, Plane, Privileges, Wish};
use crate::registry::{Arrivals, AuthoritySource, Parts, Registry, Shared};
use crate::serve::listener::Listen;
use crate::serve::{Config, Limits, Server};

/// How long the control endpoint may take to end its requests.
const CONTROL_DRAIN: Duration = Duration::from_secs(10);

/// Runs until a signal says to stop.
///
/// # Errors
/// When a part cannot be had; what was begun is undone.
pub async fn run(options: RunOptions) -> Result<()> {
    let signals = Signals::take()?;
    let app = App::start(options).await?;
    let announced = tokio::select! {
        announced = app.announce() => announced,
        () = signals.end() => Ok(()),
    };
    if announced.is_ok() {
        signals.obey(app.datapath.as_deref()).await;
    }
    let stopped = app.stop().await;
    if let (Err(_), Err(error)) = (&announced, &stopped) {
        warn!(%error, "what was begun could not be undone");
    }
    announced.and(stopped)
}

/// The parts, in the order in which they were built.
struct App {
    options: RunOptions,
    choice: Choice,
    registry: Arc<Registry>,
    /// What rules do by themselves.
    behaviours: AbortOnDropHandle<()>,
    datapath: Option<Arc<Datapath>>,
    server: Arc<Server>,
    control: ControlServer,
    reconciling: Option<Reconciling>,
    claims: Claims,
}

/// What is there before anybody is let in.
struct Opened {
    options: RunOptions,
    choice: Choice,
    registry: Arc<Registry>,
    behaviours: AbortOnDropHandle<()>,
    management: Option<Arc<ManagementCluster>>,
    journal: Option<Arc<Journal>>,
    control: TcpListener,
    claims: Claims,
}

impl App {
    async fn start(mut options: RunOptions) -> Result<Self> {
        let choice = choose(&options)?;
        info!("{choice}");
        let rules = config::rules(options.config.as_deref()).await?;
        raise_descriptors()?;
        // Taken first: a second process must find out before it touches anything.
        let control = TcpListener::bind(options.control_address)
            .with_context(|| format!("cannot listen on {}", options.control_address))?;
        // From here on the real one: port 0 asks for any.
        options.control_address = control.local_addr()?;
        let Kept { journal, replay, behaviours } = data::open(&options)?;
        let claims = claim::claim(&options, &choice)?;
        // Not before: the file may be that of the process that has the port or the data.
        ready::forget(&options).await?;
        let management =
            reconcile::management(options.kubeconfig.as_deref(), options.in_cluster).await?;
        let registry = Registry::new(Parts {
            shared: Arc::new(shared(&options)?),
            ipam: Ipam::new(plan(&options, &choice))?,
            journal: journal.clone(),
            authorities: management.clone().map(|source| source as Arc<dyn AuthoritySource>),
            behaviours,
        });
        if let Some(replay) = &replay {
            restore(&registry, replay)?;
        }
        registry.adopt_behaviours(rules).await.context("the rules cannot be kept")?;
        if let Some(journal) = &journal {
            let live: Arc<dyn Live> = registry.clone();
            journal.attach(&live);
        }
        let wanted: Vec<IpAddr> = registry.addresses().iter().map(|at| at.ip()).collect();
        let prepared = netlink::Options { wanted: wanted.clone(), ..netlink::Options::default() };
        let plane = Plane::prepare(choice.mode, &choice.pools, &prepared).await?;
        registry.set_plane(plane).await;
        let behaviours = registry.begin_behaviours().await;
        let keep = options.keep_addresses;
        let opened = Opened {
            options,
            choice,
            registry: registry.clone(),
            behaviours,
            management,
            journal,
            control,
            claims,
        };
        let started = Self::let_in(opened).await;
        if started.is_err()
            && let Err(error) = registry.close_plane(keep).await
        {
            warn!(%error, "what was begun could not be undone");
        }
        started
    }

    /// Lets clients and callers in, when everything that is to be there is.
    async fn let_in(opened: Opened) -> Result<Self> {
        let Opened { options, choice, registry, behaviours, management, journal, control, claims } =
            opened;
        let datapath = kernel::load(&options, &choice)?;
        let workers = workers(&options)?;
        let server = serve(&options, &choice, workers, &registry, datapath.as_ref())?;
        open(&options, &choice, workers, &registry, datapath.as_ref(), &server).await?;
        let reconciling = Reconciling::of_this_process(&options, management.as_ref(), &registry)?;
        let figures = metrics::renderer(
            &registry,
            &server,
            datapath.as_ref(),
            journal.as_ref(),
            reconciling.as_ref().map(Reconciling::figures),
        );
        let control =
            ControlServer::start(control, registry.clone(), figures, fkas::Limits::default())?;
        Ok(Self {
            options,
            choice,
            registry,
            behaviours,
            datapath,
            server,
            control,
            reconciling,
            claims,
        })
    }

    /// Tells the user what there is and what to do next.
    async fn announce(&self) -> Result<()> {
        demo::fill(&self.options, &self.registry).await?;
        demo::announce(&self.options, &self.choice, &self.registry).await?;
        ready::tell(&self.options).await
    }

    /// Stops the parts in the reverse order: first nobody comes in, then everybody may finish,
    /// then what was put into the kernel is taken out.
    async fn stop(self) -> Result<()> {
        let Self {
            options,
            choice: _,
            registry,
            behaviours,
            datapath,
            server,
            control,
            reconciling,
            claims,
        } = self;
        info!("stopping");
        if let Some(reconciling) = reconciling {
            reconciling.stop().await;
        }
        drop(behaviours);
        if let Err(error) = ready::forget(&options).await {
            warn!(%error, "the ready file stays behind");
        }
        control.shutdown(CONTROL_DRAIN).await;
        let report = match Arc::try_unwrap(server) {
            Ok(server) => Some(server.shutdown().await),
            Err(_) => None,
        };
        if let Some(report) = report {
            info!(?report, "connections have ended");
        } else {
            warn!("connections were cut: a request was still opening a port");
        }
        drop(datapath);
        registry.close_plane(options.keep_addresses).await?;
        drop(claims);
        Ok(())
    }
}

/// Connections need descriptors: the process may have as many as its hard limit allows.
fn raise_descriptors() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

fn choose(options: &RunOptions) -> Result<Choice> {
    let wish = Wish { pools: options.pools.clone(), ip: options.ip, mode: options.mode };
    Ok(netlink::choose(&wish, Privileges::of_this_process()?)?)
}

fn plan(options: &RunOptions, choice: &Choice) -> Plan {
    match (choice.mode, options.ip) {
        (Mode::Port, Some(ip)) => Plan::Ports { ip, range: options.ports.0.clone() },
        _ => Plan::Addresses { pools: choice.pools.clone(), port: options.secure_port },
    }
}

fn shared(options: &RunOptions) -> Result<Shared> {
    Ok(Shared {
        api: Arc::new(ApiServer::new()?),
        baseline: Arc::new(Baseline::new(generated::rbac())?),
        serving_key: ServingKey::generate()?,
        anonymous_admin: options.anonymous_admin,
    })
}

fn restore(registry: &Arc<Registry>, replay: &Replay) -> Result<()> {
    let began = std::time::Instant::now();
    registry.restore(replay)?;
    let report = replay.report();
    if report.records > 0 {
        let took = began.elapsed();
        info!(clusters = registry.len(), records = report.records, ?took, "the journal is read");
    }
    Ok(())
}

fn workers(options: &RunOptions) -> Result<NonZeroU32> {
    match options.workers {
        Some(workers) => Ok(workers),
        None => Ok(Config::workers_of_this_machine()?),
    }
}

fn serve(
    options: &RunOptions,
    choice: &Choice,
    workers: NonZeroU32,
    registry: &Arc<Registry>,
    datapath: Option<&Arc<Datapath>>,
) -> Result<Arc<Server>> {
    let listen = match (datapath, choice.mode) {
        (Some(_), _) => Listen::Steered,
        (None, Mode::Port) => Listen::ByAddress,
        (None, _) => Listen::Wildcard { port: options.secure_port },
    };
    if let Listen::Wildcard { port } = listen {
        alone(port)?;
    }
    let mut limits = Limits::of_this_process()?;
    limits.drain = Duration::from_secs(options.drain_seconds);
    let config = Config { workers, listen, limits };
    let server = Server::start(&config, registry, &mut |worker, family, socket| match datapath {
        Some(datapath) => kernel::place(datapath, worker, family, socket),
        None => Ok(()),
    })?;
    Ok(Arc::new(server))
}

/// Refuses a port of all addresses that somebody listens on. The workers share theirs, which
/// lets another process of the same user share it too: each would get connections to the
/// other's clusters.
fn alone(port: u16) -> Result<()> {
    let all = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(all).with_context(|| {
        format!("port {port} cannot be had for all addresses; name a --secure-port of its own")
    })?;
    Ok(())
}

/// Lets connections to the clusters that are there already arrive.
async fn open(
    options: &RunOptions,
    choice: &Choice,
    workers: NonZeroU32,
    registry: &Arc<Registry>,
    datapath: Option<&Arc<Datapath>>,
    server: &Arc<Server>,
) -> Result<()> {
    let by_address = datapath.is_none() && choice.mode == Mode::Port;
    let arrivals = Arrivals {
        datapath: datapath.map(Arc::downgrade),
        listeners: by_address.then(|| Arc::downgrade(server)),
        own_ports: choice.mode == Mode::Port,
        workers: workers.get(),
        edges: !options.edges.is_empty(),
        shared_ip: choice.mode == Mode::Port,
    };
    arrivals.open_all(&registry.addresses()).await?;
    registry.set_arrivals(arrivals);
    registry.resume_faults().await?;
    Ok(())
}
