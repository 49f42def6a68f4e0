//! The kernel over an rtnetlink socket.
//!
//! Addresses go out as many requests in one datagram: the kernel handles the whole datagram
//! within the system call and queues the acknowledgements, so a hundred thousand addresses are
//! some thousand system calls. rtnetlink's own builders send one request and wait for its
//! answer, hence the messages are built here.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use ipnet::IpNet;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NetlinkPayload,
};
use rtnetlink::proto::ConnectionHandle;
use rtnetlink::sys::{SocketAddr, protocols::NETLINK_ROUTE};
use tokio::task::AbortHandle;

use super::kernel::{Address, Change, Kernel, Link, LinkIndex, Refusal, Route};
use super::message::{
    Message, address_request, dummy_link, link_by_index, local_route, message, nameless_refusal,
    read_address, read_link, read_route, refused, refused_address, up,
};

/// Requests in one datagram. Each acknowledgement takes about 1.3 kB of the socket's receive
/// buffer (208 KiB by default) until it is read, an overrun would lose some.
const BATCH: usize = 64;

/// How long the kernel may take for one answer: a dump of a big table, a batch of addresses on a
/// full link.
const ANSWER: Duration = Duration::from_secs(30);

/// How often a dump is repeated that changed under the reader.
const DUMPS: usize = 8;

/// A netlink socket in the network namespace of the thread that opened it. Dropping it closes it.
#[derive(Debug)]
pub struct Rtnetlink {
    handle: ConnectionHandle<RouteNetlinkMessage>,
    connection: AbortHandle,
}

impl Drop for Rtnetlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Rtnetlink {
    /// Opens the socket in the network namespace of the calling thread; its task runs on the
    /// current tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> io::Result<Self> {
        let (mut connection, handle, _unsolicited) =
            rtnetlink::proto::new_connection(NETLINK_ROUTE)?;
        // The end of a dump says whether it failed.
        connection.set_forward_done(true);
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, connection })
    }

    /// Sends requests as one datagram; the stream has what is answered, acknowledgements apart.
    fn send(&self, batch: Vec<Message>) -> io::Result<impl Stream<Item = io::Result<Message>>> {
        let kernel = SocketAddr::new(0, 0);
        let answers = self.handle.request_batch(batch, kernel).map_err(io::Error::other)?;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "no answer from the kernel");
        Ok(futures::stream::unfold(Some(Box::pin(answers)), move |answers| async move {
            let mut answers = answers?;
            match tokio::time::timeout(ANSWER, answers.next()).await {
                Ok(Some(answer)) => Some((Ok(answer), Some(answers))),
                Ok(None) => None,
                Err(_) => Some((Err(silent()), None)),
            }
        }))
    }

    async fn ask(&self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let answers = self.send(vec![message(request, flags | NLM_F_ACK)])?;
        answers.try_for_each(|answer| std::future::ready(refused(&answer))).await
    }

    /// Reads a whole table, again if it changed in the middle: the kernel would then have left
    /// entries out or told some twice.
    async fn dump(&self, request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..DUMPS {
            if let Some(entries) = self.dump_once(request.clone()).await? {
                return Ok(entries);
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the table kept changing while it was read"))
    }

    async fn dump_once(
        &self,
        request: RouteNetlinkMessage,
    ) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
        let mut answers = Box::pin(self.send(vec![message(request, NLM_F_DUMP)])?);
        let mut entries = Vec::new();
        let mut whole = true;
        while let Some(answer) = answers.try_next().await? {
            refused(&answer)?;
            whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            if let NetlinkPayload::InnerMessage(entry) = answer.payload {
                entries.push(entry);
            }
        }
        Ok(whole.then_some(entries))
    }

    async fn link_named(&self, name: &str) -> io::Result<LinkIndex> {
        let links = self.links().await?;
        let found = links.into_iter().find(|link| link.name == name);
        found.map(|link| link.index).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }
}

impl Kernel for Rtnetlink {
    async fn links(&self) -> io::Result<Vec<Link>> {
        let entries = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).await?;
        Ok(entries.into_iter().filter_map(read_link).collect())
    }

    async fn addresses(&self) -> io::Result<Vec<Address>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        Ok(self.dump(request).await?.into_iter().filter_map(read_address).collect())
    }

    async fn routes(&self) -> io::Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let entries = self.dump(RouteNetlinkMessage::GetRoute(request)).await?;
            routes.extend(entries.into_iter().filter_map(read_route));
        }
        Ok(routes)
    }

    async fn add_dummy(&self, name: &str) -> io::Result<LinkIndex> {
        let request = RouteNetlinkMessage::NewLink(dummy_link(name));
        self.ask(request, NLM_F_CREATE | NLM_F_EXCL).await?;
        self.link_named(name).await
    }

    async fn remove_link(&self, index: LinkIndex) -> io::Result<()> {
        self.ask(RouteNetlinkMessage::DelLink(link_by_index(index)), 0).await
    }

    async fn set_up(&self, index: LinkIndex) -> io::Result<()> {
        self.ask(RouteNetlinkMessage::SetLink(up(link_by_index(index))), 0).await
    }

    async fn change_local_route(
        &self,
        change: Change,
        pool: IpNet,
        loopback: LinkIndex,
    ) -> io::Result<()> {
        let route = local_route(pool, loopback);
        match change {
            Change::Add => {
                let request = RouteNetlinkMessage::NewRoute(route);
                self.ask(request, NLM_F_CREATE | NLM_F_EXCL).await
            }
            Change::Remove => self.ask(RouteNetlinkMessage::DelRoute(route), 0).await,
        }
    }

    async fn change_addresses(
        &self,
        change: Change,
        link: LinkIndex,
        ips: &[IpAddr],
    ) -> io::Result<Vec<Refusal>> {
        let mut refusals = Vec::new();
        for chunk in ips.chunks(BATCH) {
            let requests = chunk.iter().map(|ip| address_request(change, link, *ip)).collect();
            let mut answers = Box::pin(self.send(requests)?);
            while let Some(answer) = answers.try_next().await? {
                if let Err(cause) = refused(&answer) {
                    let ip = refused_address(&answer).ok_or(nameless_refusal())?;
                    refusals.push(Refusal { ip, cause });
                }
            }
        }
        Ok(refusals)
    }
}
