//! The netlink messages we send and read, between the kernel's form and ours.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};

use super::ROUTE_PROTOCOL;
use super::kernel::{Address, Change, Link, LinkIndex, LinkKind, Route, TABLE_LOCAL};

/// Bytes of a netlink message before its body.
const HEADER_BYTES: usize = 16;

/// A message of the routing family, request or answer.
pub(super) type Message = NetlinkMessage<RouteNetlinkMessage>;

pub(super) fn message(request: RouteNetlinkMessage, flags: u16) -> Message {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message
}

/// An answer that is an error, as one. A dump can fail after its first entries; its last message
/// tells.
pub(super) fn refused(answer: &Message) -> io::Result<()> {
    match &answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Done(done) if done.code < 0 => {
            Err(io::Error::from_raw_os_error(done.code.abs()))
        }
        NetlinkPayload::Overrun(_) => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
        _ => Ok(()),
    }
}

/// Which address a refusal is about: the kernel sends the refused request back with it.
pub(super) fn refused_address(answer: &Message) -> Option<IpAddr> {
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

pub(super) fn nameless_refusal() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel refused a request it does not name")
}

pub(super) fn address_request(change: Change, link: LinkIndex, ip: IpAddr) -> Message {
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

/// A request about one link.
pub(super) fn link_by_index(index: LinkIndex) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link
}

/// A link that is to be up.
pub(super) fn up(mut link: LinkMessage) -> LinkMessage {
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link
}

/// A dummy link to be made, up from the start.
pub(super) fn dummy_link(name: &str) -> LinkMessage {
    let mut link = up(LinkMessage::default());
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let kind = LinkInfo::Kind(InfoKind::Dummy);
    link.attributes.push(LinkAttribute::LinkInfo(vec![kind]));
    link
}

pub(super) fn local_route(pool: IpNet, loopback: LinkIndex) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.destination_prefix_length = pool.prefix_len();
    route.header.table = u8::try_from(TABLE_LOCAL).expect("the local table's number is a byte");
    route.header.protocol = RouteProtocol::Other(ROUTE_PROTOCOL);
    route.header.kind = RouteType::Local;
    (route.header.address_family, route.header.scope) = match pool {
        IpNet::V4(_) => (AddressFamily::Inet, RouteScope::Host),
        IpNet::V6(_) => (AddressFamily::Inet6, RouteScope::Universe),
    };
    route.attributes.push(RouteAttribute::Destination(pool.network().into()));
    route.attributes.push(RouteAttribute::Oif(loopback));
    route
}

pub(super) fn read_link(entry: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(LinkMessage { header, attributes, .. }) = entry else {
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
    Some(Link { index: header.index, name: name?, up, kind })
}

pub(super) fn read_address(entry: RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = entry else {
        return None;
    };
    let net = IpNet::new(local_address(&message)?, message.header.prefix_len).ok()?;
    Some(Address { link: message.header.index, net })
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

pub(super) fn read_route(entry: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(RouteMessage { header, attributes, .. }) = entry else {
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

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::ErrorMessage;

    use super::*;

    /// What the kernel answers when it refuses a request: its code and the request itself.
    fn refusal(request: &Message, code: i32) -> Message {
        let mut request = request.clone();
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        let mut error = ErrorMessage::default();
        error.code = std::num::NonZeroI32::new(code);
        error.header = bytes;
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::Error(error))
    }

    #[test]
    fn a_refusal_is_matched_with_its_address() {
        for change in [Change::Add, Change::Remove] {
            for ip in ["10.0.0.7", "fd00::7"] {
                let ip: IpAddr = ip.parse().unwrap();
                let answer = refusal(&address_request(change, 3, ip), -libc::EPERM);
                assert_eq!(refused_address(&answer), Some(ip));
                let cause = refused(&answer).unwrap_err();
                assert_eq!(cause.raw_os_error(), Some(libc::EPERM));
            }
        }
        let request = address_request(Change::Add, 3, [10, 0, 0, 7].into());
        assert!(refused(&refusal(&request, 0)).is_ok(), "an acknowledgement");
        let mut cut = refusal(&request, -1);
        if let NetlinkPayload::Error(error) = &mut cut.payload {
            error.header.truncate(10);
        }
        assert_eq!(refused_address(&cut), None);
    }

    #[test]
    fn our_route_is_read_back_as_ours() {
        for pool in ["10.60.0.0/16", "fd60::/64"] {
            let pool: IpNet = pool.parse().unwrap();
            let read = read_route(RouteNetlinkMessage::NewRoute(local_route(pool, 1)));
            let expected = Route {
                destination: pool,
                table: TABLE_LOCAL,
                protocol: ROUTE_PROTOCOL,
                local: true,
                link: Some(1),
            };
            assert_eq!(read, Some(expected));
        }
    }

    #[test]
    fn a_table_beyond_a_byte_and_the_first_hop_are_read() {
        let mut route = local_route("10.0.0.0/8".parse().unwrap(), 1);
        route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
        let mut hop = netlink_packet_route::route::RouteNextHop::default();
        hop.interface_index = 4;
        route.attributes.push(RouteAttribute::MultiPath(vec![hop]));
        route.attributes.push(RouteAttribute::Table(1000));
        let read = read_route(RouteNetlinkMessage::NewRoute(route)).unwrap();
        assert_eq!((read.table, read.link), (1000, Some(4)));
    }

    #[test]
    fn our_dummy_and_addresses_are_read_back_as_ours() {
        let read = read_link(RouteNetlinkMessage::NewLink(dummy_link("fakeapi7"))).unwrap();
        let name = "fakeapi7".to_owned();
        assert_eq!(read, Link { index: 0, name, up: true, kind: LinkKind::Dummy });
        for ip in ["10.60.0.1", "fd60::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let request = address_request(Change::Add, 5, ip);
            let NetlinkPayload::InnerMessage(request) = request.payload else { unreachable!() };
            assert_eq!(read_address(request), Some(Address { link: 5, net: IpNet::from(ip) }));
        }
    }

    #[test]
    fn a_peer_is_not_taken_for_the_hosts_own_address() {
        let mut message = AddressMessage::default();
        message.header.prefix_len = 24;
        let peer = [10, 0, 0, 2].into();
        message.attributes.push(AddressAttribute::Address(peer));
        assert_eq!(local_address(&message), Some(peer), "the only one there is");
        let own = [10, 0, 0, 1].into();
        message.attributes.push(AddressAttribute::Local(own));
        assert_eq!(local_address(&message), Some(own));
    }
}
