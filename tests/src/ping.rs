//! An echo request, for guests without `ping`.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Sends an echo request from this thread's namespace and tells whether its reply comes.
pub fn ping(target: IpAddr, patience: Duration) -> bool {
    let (domain, protocol, kind) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).expect("root has raw sockets");
    socket.connect(&SocketAddr::new(target, 0).into()).expect("there is a route");
    let mut request = vec![kind, 0, 0, 0, 0xbe, 0xef, 0, 1];
    request.extend(b"are you there?");
    // Over IPv6 the kernel fills the sum in.
    let sum = checksum(&request);
    request[2..4].copy_from_slice(&sum.to_be_bytes());
    socket.send(&request).expect("a request can be sent");
    replied(socket, target.is_ipv4(), &request, patience)
}

/// Whether the reply to a request comes in time.
fn replied(mut socket: Socket, is_v4: bool, request: &[u8], patience: Duration) -> bool {
    // An IPv4 raw socket shows the header, an IPv6 one does not.
    let (begin, kind) = if is_v4 { (20, 0) } else { (0, 129) };
    let deadline = Instant::now() + patience;
    let mut buffer = [0; 1_500];
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        let left = left.max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).expect("a socket takes a timeout");
        let Ok(length) = socket.read(&mut buffer) else {
            return false;
        };
        let icmp = &buffer[begin..length];
        if icmp[0] == kind && icmp[4..] == request[4..] {
            return true;
        }
    }
    false
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => u32::from(pair[0]) << 8,
    });
    let sum: u32 = words.sum();
    let once = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((once & 0xffff) + (once >> 16)).expect("sixteen bits are left")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 1071, section 3.
    #[test]
    fn sums_the_example_of_the_rfc() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
        assert_eq!(checksum(&[0x01]), !0x0100);
    }
}
