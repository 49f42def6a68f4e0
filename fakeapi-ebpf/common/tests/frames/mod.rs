//! Frames made by hand, with a checksum of their own making, so that what they test cannot be
//! wrong in the same way. Used by the tests of the rules and by the tests against the kernel.
#![allow(dead_code, unreachable_pub, reason = "two test targets share this, each uses a part")]

use std::net::{Ipv4Addr, Ipv6Addr};

/// The link the frames arrive at.
pub const OWN: [u8; 6] = [0; 6];
/// Who sends them.
pub const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
pub const BROADCAST: [u8; 6] = [0xff; 6];

pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;
pub const FIN: u8 = 0x01;

pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const IPV6: u16 = 0x86dd;
pub const VLAN: u16 = 0x8100;
pub const QINQ: u16 = 0x88a8;

/// The Internet checksum over `parts` laid end to end.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut all = parts.concat();
    if all.len() % 2 == 1 {
        all.push(0);
    }
    let sum: u64 = all.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum();
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    !u16::try_from(folded).unwrap()
}

pub fn ethernet(to: [u8; 6], tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to, PEER].concat();
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What an IPv4 header can vary in.
#[derive(Clone, Copy)]
pub struct V4 {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub protocol: u8,
    pub fragment: u16,
    pub options: usize,
}

impl V4 {
    pub fn new(from: Ipv4Addr, to: Ipv4Addr, protocol: u8) -> Self {
        Self { from, to, protocol, fragment: 0, options: 0 }
    }

    pub fn packet(self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options * 4;
        let length = u16::try_from(header + payload.len()).unwrap();
        let mut packet = vec![0x40 | u8::try_from(header / 4).unwrap(), 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0x12, 0x34]);
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([7, self.protocol, 0, 0]);
        packet.extend(self.from.octets());
        packet.extend(self.to.octets());
        packet.extend(vec![1; self.options * 4]);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }

    pub fn pseudo(self, length: usize) -> Vec<u8> {
        let mut bytes = [self.from.octets(), self.to.octets()].concat();
        bytes.extend([0, self.protocol]);
        bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        bytes
    }
}

pub fn v6_packet(from: Ipv6Addr, to: Ipv6Addr, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

pub fn v6_pseudo(from: Ipv6Addr, to: Ipv6Addr, next: u8, length: usize) -> Vec<u8> {
    let mut bytes = [from.octets(), to.octets()].concat();
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, next]);
    bytes
}

/// A segment from port 40000 to port 6443 with four bytes of options.
pub fn segment(pseudo: impl Fn(usize) -> Vec<u8>, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(40_000u16.to_be_bytes());
    bytes.extend(6_443u16.to_be_bytes());
    bytes.extend(0xffff_fff0u32.to_be_bytes());
    bytes.extend(0x0102_0304u32.to_be_bytes());
    bytes.extend([6 << 4, flags, 1, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
    bytes.extend(data);
    let sum = checksum(&[&pseudo(bytes.len()), &bytes]);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

pub fn tcp_v4(from: Ipv4Addr, to: Ipv4Addr, flags: u8, data: &[u8]) -> Vec<u8> {
    let ip = V4::new(from, to, 6);
    ethernet(OWN, &[], IPV4, &ip.packet(&segment(|length| ip.pseudo(length), flags, data)))
}

pub fn tcp_v6(from: Ipv6Addr, to: Ipv6Addr, flags: u8, data: &[u8]) -> Vec<u8> {
    let tcp = segment(|length| v6_pseudo(from, to, 6, length), flags, data);
    ethernet(OWN, &[], IPV6, &v6_packet(from, to, 6, 64, &tcp))
}

fn echo(kind: u8, pseudo: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0xbe, 0xef, 0, 1];
    bytes.extend(data);
    let sum = checksum(&[pseudo, &bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

pub fn ping_v4(from: Ipv4Addr, to: Ipv4Addr, data: &[u8]) -> Vec<u8> {
    ethernet(OWN, &[], IPV4, &V4::new(from, to, 1).packet(&echo(8, &[], data)))
}

pub fn ping_v6(from: Ipv6Addr, to: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    let pseudo = v6_pseudo(from, to, 58, 8 + data.len());
    ethernet(OWN, &[], IPV6, &v6_packet(from, to, 58, 64, &echo(128, &pseudo, data)))
}

pub fn who_has(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend(PEER);
    arp.extend(sender.octets());
    arp.extend([0; 6]);
    arp.extend(target.octets());
    ethernet(BROADCAST, &[], ARP, &arp)
}

/// A neighbour solicitation to the target's solicited-node group, or by unicast without an option.
pub fn solicit(from: Ipv6Addr, target: Ipv6Addr, unicast: bool) -> Vec<u8> {
    let [.., x, y, z] = target.octets();
    let (to, mac) = if unicast {
        (target, OWN)
    } else {
        let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z];
        (Ipv6Addr::from(group), [0x33, 0x33, 0xff, x, y, z])
    };
    let mut icmp = vec![135, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend(target.octets());
    if !unicast {
        icmp.extend([1, 1]);
        icmp.extend(PEER);
    }
    let sum = checksum(&[&v6_pseudo(from, to, 58, icmp.len()), &icmp]);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ethernet(mac, &[], IPV6, &v6_packet(from, to, 58, 255, &icmp))
}

/// The same frame with VLAN tags.
pub fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for tag in tags {
        tagged.extend(tag.to_be_bytes());
        tagged.extend([0, 7]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// Fails unless the checksums of the IP packet in an untagged frame are right.
pub fn assert_sums(frame: &[u8]) {
    let packet = &frame[14..];
    if frame[12..14] == IPV4.to_be_bytes() {
        assert_eq!(checksum(&[&packet[..20]]), 0, "IPv4 header checksum");
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let payload = &packet[20..length];
        let mut pseudo = packet[12..20].to_vec();
        pseudo.extend([0, packet[9]]);
        pseudo.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        let covered = if packet[9] == 1 { Vec::new() } else { pseudo };
        assert_eq!(checksum(&[&covered, payload]), 0, "checksum over IPv4");
    } else {
        let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        let payload = &packet[40..40 + length];
        let mut pseudo = packet[8..40].to_vec();
        pseudo.extend(u32::try_from(length).unwrap().to_be_bytes());
        pseudo.extend([0, 0, 0, packet[6]]);
        assert_eq!(checksum(&[&pseudo, payload]), 0, "checksum over IPv6");
    }
}
