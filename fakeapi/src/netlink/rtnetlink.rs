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
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::proto::ConnectionHandle;
use rtnetlink::sys::{SocketAddr, protocols::NETLINK_ROUTE};
use tokio::task::AbortHandle;

use super::ROUTE_PROTOCOL;
use super::kernel::{
    Address, Change, Kernel, Link, LinkIndex, LinkKind, Refusal, Route, TABLE_LOCAL,
};

/// Requests in one datagram. Each acknowledgement takes about 1.3 kB of the socket's receive
/// buffer (208 KiB by default) until it is read, an overrun would lose some.
const BATCH: usize = 64;

/// How long the kernel may take for one answer: a dump of a big table, a batch of addresses on a
/// full link.
const ANSWER: Duration = Duration::from_secs(30);

/// The first byte of a netlink message after its header.
const HEADER_BYTES: usize = 16;

type Message = NetlinkMessage<RouteNetlinkMessage>;

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
        let (connection, handle, _unsolicited) = rtnetlink::proto::new_connection(NETLINK_ROUTE)?;
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, connection })
    }

    /// Sends requests as one datagram; the stream has what is answered, acknowledgements apart.
    fn send(&self, batch: Vec<Message>) -> io::Result<impl Stream<Item = io::Result<Message>>> {
        let kernel = SocketAddr::new(0, 0);
        let answers = self
            .handle
            .request_batch(batch, kernel)
            .map_err(io::Error::other)?;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "no answer from the kernel");
        Ok(futures::stream::unfold(
            Some(Box::pin(answers)),
            move |answers| async move {
                let mut answers = answers?;
                match tokio::time::timeout(ANSWER, answers.next()).await {
                    Ok(Some(answer)) => Some((Ok(answer), Some(answers))),
                    Ok(None) => None,
                    Err(_) => Some((Err(silent()), None)),
                }
            },
        ))
    }

    async fn ask(&self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let answers = self.send(vec![message(request, flags | NLM_F_ACK)])?;
        answers
            .try_for_each(|answer| std::future::ready(refused(&answer)))
            .await
    }

    async fn dump(&self, request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let answers = self.send(vec![message(request, NLM_F_DUMP)])?;
        let entries = answers.and_then(|answer| {
            std::future::ready(refused(&answer).map(|()| match answer.payload {
                NetlinkPayload::InnerMessage(entry) => Some(entry),
                _ => None,
            }))
        });
        let entries: Vec<_> = entries.try_collect().await?;
        Ok(entries.into_iter().flatten().collect())
    }

    async fn link_named(&self, name: &str) -> io::Result<LinkIndex> {
        let links = self.links().await?;
        let found = links.into_iter().find(|link| link.name == name);
        found
            .map(|link| link.index)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }
}

impl Kernel for Rtnetlink {
    async fn links(&self) -> io::Result<Vec<Link>> {
        let entries = self
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
            .await?;
        Ok(entries.into_iter().filter_map(read_link).collect())
    }

    async fn addresses(&self) -> io::Result<Vec<Address>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        Ok(self
            .dump(request)
            .await?
            .into_iter()
            .filter_map(read_address)
            .collect())
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
        let mut link = LinkMessage::default();
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link.attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Dummy,
            )]));
        self.ask(
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .await?;
        self.link_named(name).await
    }

    async fn remove_link(&self, index: LinkIndex) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.ask(RouteNetlinkMessage::DelLink(link), 0).await
    }

    async fn set_up(&self, index: LinkIndex) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.ask(RouteNetlinkMessage::SetLink(link), 0).await
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
            let requests = chunk
                .iter()
                .map(|ip| address_request(change, link, *ip))
                .collect();
            let mut answers = Box::pin(self.send(requests)?);
            while let Some(answer) = answers.try_next().await? {
                if let Err(cause) = refused(&answer) {
                    let ip = refused_address(&answer).ok_or(cause_without_address())?;
                    refusals.push(Refusal { ip, cause });
                }
            }
        }
        Ok(refusals)
    }
}

fn message(request: RouteNetlinkMessage, flags: u16) -> Message {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message
}

/// An answer that is an error, as one.
fn refused(answer: &Message) -> io::Result<()> {
    match &answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Overrun(_) => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
        _ => Ok(()),
    }
}

/// Which address a refusal is about: the kernel sends the refused request back with it.
fn refused_address(answer: &Message) -> Option<IpAddr> {
    let NetlinkPayload::Error(error) = &answer.payload else {
        return None;
    };
    let (header, body) = error.header.split_at_checked(HEADER_BYTES)?;
    let kind = u16::from_ne_bytes([*header.get(4)?, *header.get(5)?]);
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    match RouteNetlinkMessage::deserialize(&header, body).ok()? {
        RouteNetlinkMessage::NewAddress(request) | RouteNetlinkMessage::DelAddress(request) => {
            local_address(&request)
        }
        _ => None,
    }
}

fn cause_without_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the kernel refused a request it does not name",
    )
}

fn address_request(change: Change, link: LinkIndex, ip: IpAddr) -> Message {
    let mut address = AddressMessage::default();
    address.header.index = link;
    address.header.scope = AddressScope::Universe;
    address.attributes.push(AddressAttribute::Local(ip));
    address.attributes.push(AddressAttribute::Address(ip));
    // A /32 has no subnet to route and nobody on a dummy link to detect a duplicate with.
    let flags = match ip {
        IpAddr::V4(_) => {
            address.header.family = AddressFamily::Inet;
            address.header.prefix_len = 32;
            AddressFlags::Noprefixroute
        }
        IpAddr::V6(_) => {
            address.header.family = AddressFamily::Inet6;
            address.header.prefix_len = 128;
            AddressFlags::Noprefixroute | AddressFlags::Nodad
        }
    };
    match change {
        Change::Add => {
            address.attributes.push(AddressAttribute::Flags(flags));
            let request = RouteNetlinkMessage::NewAddress(address);
            message(request, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        }
        Change::Remove => message(RouteNetlinkMessage::DelAddress(address), NLM_F_ACK),
    }
}

fn local_route(pool: IpNet, loopback: LinkIndex) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.destination_prefix_length = pool.prefix_len();
    route.header.table = u8::try_from(TABLE_LOCAL).expect("the local table's number is a byte");
    route.header.protocol = RouteProtocol::Other(ROUTE_PROTOCOL);
    route.header.kind = RouteType::Local;
    (route.header.address_family, route.header.scope) = match pool {
        IpNet::V4(_) => (AddressFamily::Inet, RouteScope::Host),
        IpNet::V6(_) => (AddressFamily::Inet6, RouteScope::Universe),
    };
    route
        .attributes
        .push(RouteAttribute::Destination(pool.network().into()));
    route.attributes.push(RouteAttribute::Oif(loopback));
    route
}

fn read_link(entry: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(LinkMessage {
        header, attributes, ..
    }) = entry
    else {
        return None;
    };
    let is_dummy = |info: &LinkInfo| matches!(info, LinkInfo::Kind(InfoKind::Dummy));
    let mut name = None;
    let mut kind = LinkKind::Other;
    if header.flags.contains(LinkFlags::Loopback) {
        kind = LinkKind::Loopback;
    }
    for attribute in attributes {
        match attribute {
            LinkAttribute::IfName(given) => name = Some(given),
            LinkAttribute::LinkInfo(info) if info.iter().any(is_dummy) => kind = LinkKind::Dummy,
            _ => {}
        }
    }
    let up = header.flags.contains(LinkFlags::Up);
    Some(Link {
        index: header.index,
        name: name?,
        up,
        kind,
    })
}

fn read_address(entry: RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = entry else {
        return None;
    };
    let net = IpNet::new(local_address(&message)?, message.header.prefix_len).ok()?;
    Some(Address {
        link: message.header.index,
        net,
    })
}

/// The host's own side of an address; on a point-to-point link the other attribute is the peer.
fn local_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut peer = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => return Some(*ip),
            AddressAttribute::Address(ip) => peer = Some(*ip),
            _ => {}
        }
    }
    peer
}

fn read_route(entry: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(RouteMessage {
        header, attributes, ..
    }) = entry
    else {
        return None;
    };
    let mut ip = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut table = u32::from(header.table);
    let mut link = None;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => ip = v4.into(),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => ip = v6.into(),
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::Oif(index) => link = Some(index),
            RouteAttribute::MultiPath(hops) => link = hops.first().map(|hop| hop.interface_index),
            _ => {}
        }
    }
    Some(Route {
        destination: IpNet::new(ip, header.destination_prefix_length).ok()?,
        table,
        protocol: header.protocol.into(),
        local: header.kind == RouteType::Local,
        link,
    })
}
