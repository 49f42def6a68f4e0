//! Asking the kernel about a link, in the network namespace of the calling thread.

use std::io;

use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::DatapathError;

/// What the edge needs to know of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) mac: [u8; 6],
    /// One end of a virtual cable.
    pub(super) veth: bool,
}

/// Finds a link by name.
pub(super) fn find(name: &str) -> Result<Link, DatapathError> {
    let link = || name.to_owned();
    let message = match ask(name) {
        Ok(message) => message,
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            return Err(DatapathError::NoSuchLink { link: link() });
        }
        Err(source) => {
            return Err(DatapathError::Link { link: link(), source });
        }
    };
    read(name, &message).ok_or_else(|| DatapathError::NotEthernet { link: link() })
}

fn ask(name: &str) -> io::Result<LinkMessage> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
    request.header.flags = NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _kernel) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => {
            let text = format!("unexpected answer of type {}", other.message_type());
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// The answer in our terms; nothing when the link has no Ethernet address.
fn read(name: &str, message: &LinkMessage) -> Option<Link> {
    let ethernet = [LinkLayerType::Ether, LinkLayerType::Loopback];
    if !ethernet.contains(&message.header.link_layer_type) {
        return None;
    }
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })?;
    let veth = message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
        _ => false,
    });
    Some(Link { name: name.to_owned(), index: message.header.index, mac, veth })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found() {
        let lo = find("lo").unwrap();
        assert_eq!((lo.name.as_str(), lo.mac, lo.veth), ("lo", [0; 6], false));
        assert_ne!(lo.index, 0);
    }

    #[test]
    fn a_link_that_is_not_there_is_named() {
        let error = find("no-such-link").unwrap_err();
        assert_eq!(error.to_string(), "there is no link no-such-link");
    }

    #[test]
    fn a_tunnel_is_not_an_edge() {
        let mut message = LinkMessage::default();
        message.header.link_layer_type = LinkLayerType::Tunnel;
        message.attributes.push(LinkAttribute::Address(vec![10, 0, 0, 1]));
        assert_eq!(read("tun0", &message), None);
    }
}
