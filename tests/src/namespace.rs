//! Network namespaces, and what is plugged into them.

use std::any::Any;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// The routing table of the machine's own addresses.
const LOCAL_TABLE: u32 = 255;

/// Threads of a runtime inside a namespace.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with a thread in it; both end when it is dropped.
pub struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    file: File,
}

impl Namespace {
    /// A fresh namespace whose loopback link is up.
    pub fn new() -> Self {
        let (jobs, queue) = channel::<Job>();
        let (made, ready) = channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            let file = File::open("/proc/thread-self/ns/net").expect("its descriptor");
            made.send(file).expect("the maker waits");
            for job in queue {
                job();
            }
        });
        let file = ready.recv().expect("the thread makes a namespace");
        let namespace = Self { jobs: Some(jobs), thread: Some(thread), file };
        namespace.run(|| link_up("lo"));
        namespace
    }

    /// Runs something inside, and fails as it fails.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = channel::<Result<T, Box<dyn Any + Send>>>();
        let job = move || {
            // The receiver is gone only when the test is over.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        };
        let jobs = self.jobs.as_ref().expect("taken only on drop");
        jobs.send(Box::new(job)).expect("the thread lives as long as the namespace");
        match answered.recv().expect("the thread answers") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs something asynchronous inside. All threads of its runtime are in the namespace, for a
    /// thread begins in that of its maker.
    pub fn run_async<T, F>(&self, job: impl FnOnce() -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(THREADS)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(job())
        })
    }

    /// Lays a cable from here (`near`) to another namespace (`far`); both ends are up.
    pub fn cable_to(&self, other: &Self, near: &'static str, far: &'static str) {
        let target = other.file.as_raw_fd();
        self.run(move || {
            netlink(async |handle| {
                handle.link().add(LinkVeth::new(near, far).build()).execute().await?;
                let moved = LinkUnspec::new_with_name(far).setns_by_fd(target).build();
                handle.link().set(moved).execute().await
            });
            link_up(near);
        });
        other.run(move || link_up(far));
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the thread of a namespace panicked");
        }
    }
}

/// Talks to the kernel about the namespace of this thread.
fn netlink<T>(talk: impl AsyncFnOnce(Handle) -> Result<T, rtnetlink::Error>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().expect("a netlink socket");
        let connection = tokio::spawn(connection);
        let outcome = talk(handle).await;
        connection.abort();
        outcome.expect("the kernel does what netlink asks")
    })
}

fn get(name: &str) -> LinkMessage {
    let link =
        netlink(async |handle| handle.link().get().match_name(name).execute().try_next().await);
    link.unwrap_or_else(|| panic!("there is no link {name}"))
}

/// The hardware address of a link.
pub fn hardware_address(name: &str) -> Vec<u8> {
    let found = get(name).attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => Some(bytes),
        _ => None,
    });
    found.expect("an Ethernet link has one")
}

/// Tells the stack who has an address, so that it does not ask.
pub fn add_neighbour(link: &str, address: IpAddr, mac: &[u8]) {
    let index = get(link).header.index;
    netlink(async |handle| {
        handle.neighbours().add(index, address).link_layer_address(mac).execute().await
    });
}

/// Brings a link up.
pub fn link_up(name: &str) {
    let up = LinkUnspec::new_with_name(name).up().build();
    netlink(async |handle| handle.link().set(up).execute().await);
}

/// Gives a link an address that is usable at once.
pub fn add_address(link: &str, address: IpNet) {
    let index = get(link).header.index;
    netlink(async |handle| {
        let mut request = handle.address().add(index, address.addr(), address.prefix_len());
        // Without looking for duplicates, which takes a second.
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        request.execute().await
    });
}

/// Makes a whole prefix the machine's own ("AnyIP").
pub fn add_local(prefix: IpNet) {
    add_route(prefix, "lo", |route| {
        route.table_id(LOCAL_TABLE).kind(RouteType::Local).scope(RouteScope::Host)
    });
}

/// Declares that the addresses of a prefix are neighbours on a link.
pub fn add_neighbourhood(prefix: IpNet, link: &str) {
    add_route(prefix, link, |route| route.scope(RouteScope::Link));
}

/// Sends what is for a prefix to a gateway.
pub fn add_gateway(prefix: IpNet, gateway: IpAddr, link: &str) {
    add_route(prefix, link, |route| route.gateway(gateway).expect("one family"));
}

type Route = RouteMessageBuilder<IpAddr>;

fn add_route(prefix: IpNet, link: &str, more: impl FnOnce(Route) -> Route) {
    let index = get(link).header.index;
    let route = Route::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .expect("a prefix is one")
        .output_interface(index);
    let route = more(route).build();
    netlink(async |handle| handle.route().add(route).execute().await);
}

/// Whether any XDP program is on the link.
pub fn carries_xdp(name: &str) -> bool {
    get(name).attributes.iter().any(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => xdp.iter().any(|part| match part {
            LinkXdp::Attached(how) => *how != XdpAttached::None,
            _ => false,
        }),
        _ => false,
    })
}
