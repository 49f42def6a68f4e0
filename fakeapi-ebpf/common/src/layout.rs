//! Map names, sizes, keys and values: the binary contract.
//!
//! Every type is `repr(C)` without a padding byte (the sizes are asserted), because the kernel
//! compares keys byte by byte. Addresses are always sixteen bytes, IPv4 in its mapped form, so that
//! one table serves both families.

/// Name of the XDP program.
pub const EDGE_PROGRAM: &str = "edge";
/// Name of the `sk_lookup` program.
pub const STEER_PROGRAM: &str = "steer";

/// Hash: [`DestKey`] to [`DestValue`]. Written by the user side, read by `steer`.
pub const DESTS: &str = "DESTS";
/// Hash: [`Address`] to [`AddressValue`]. Written by the user side, read by `edge`.
pub const ADDRESSES: &str = "ADDRESSES";
/// Array: slot to [`Count`]. Added to by `edge`, read and zeroed by the user side.
pub const COUNTS: &str = "COUNTS";
/// Longest-prefix trie: prefix to [`GUARDED`] or [`EXEMPT`]. Written by the user side.
pub const POOLS: &str = "POOLS";
/// Array per CPU: [`Reason`] to a `u64`. Added to by both programs.
pub const REASONS: &str = "REASONS";
/// Socket map: [`listener_index`] to a listening socket. Written by the user side.
pub const LISTENERS: &str = "LISTENERS";
/// Array of one [`Config`]. Written by the user side.
pub const CONFIG: &str = "CONFIG";
/// Hash: interface index to [`Edge`]. Written by the user side.
pub const EDGES: &str = "EDGES";

/// Entries of the address-sized maps unless the user side says otherwise at load time.
pub const DEFAULT_ADDRESSES: u32 = 131_072;
/// How many prefixes may be guarded or exempt.
pub const MAX_POOLS: u32 = 65_536;
/// How many workers may own listening sockets.
pub const MAX_WORKERS: u32 = 1_024;
/// How many links may carry the edge program.
pub const MAX_EDGES: u32 = 256;

/// Value in [`POOLS`]: addresses of the prefix belong to clusters and to nobody else.
pub const GUARDED: u32 = 1;
/// Value in [`POOLS`]: the prefix, though inside a guarded one, is left alone.
pub const EXEMPT: u32 = 0;

/// [`Config::flags`]: refuse TCP to unallocated pool addresses with RST instead of silence.
pub const REFUSE_WITH_RESET: u32 = 1;
/// [`Config::flags`]: answer ICMP echo requests to allocated addresses at the edge.
pub const ANSWER_PING: u32 = 1 << 1;
/// [`Config::flags`]: write a line for each decision into the log ring.
pub const LOG: u32 = 1 << 2;

/// [`Edge::flags`]: answer ARP and neighbour solicitations for allocated addresses on this link.
pub const ANSWER_NEIGHBOURS: u16 = 1;

/// [`AddressValue::fault`] that drops every packet; less drops that many of 65,536.
pub const DROP_ALL: u32 = 65_536;

/// An IPv6 address, or an IPv4 address in mapped form (`::ffff:a.b.c.d`), as it lies in a packet.
///
/// Words rather than bytes, because headers are aligned to words and half as many loads fetch them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u16; 8]);

impl Address {
    /// No address at all.
    pub const UNSPECIFIED: Self = Self([0; 8]);

    /// The mapped form of an IPv4 address as it lies in a packet.
    #[inline(always)]
    pub const fn from_v4(v4: [u16; 2]) -> Self {
        Self([0, 0, 0, 0, 0, 0xffff, v4[0], v4[1]])
    }

    /// Whether it is an IPv4 address in mapped form.
    #[inline(always)]
    pub const fn is_mapped(&self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0xffff, _, _])
    }
}

/// A hardware address as it lies in a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u16; 3]);

impl Mac {
    /// Whether it names a group (broadcast is one).
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0].to_ne_bytes()[0] & 1 != 0
    }
}

impl From<[u8; 6]> for Mac {
    fn from(bytes: [u8; 6]) -> Self {
        let word = |at| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self([word(0), word(2), word(4)])
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(addr: core::net::IpAddr) -> Self {
        match addr {
            core::net::IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().segments().map(u16::to_be)),
            core::net::IpAddr::V6(v6) => Self(v6.segments().map(u16::to_be)),
        }
    }
}

/// Key of [`DESTS`]: where a client connects to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DestKey {
    /// Destination address.
    pub address: Address,
    /// Destination port in host order; wider than a port so that no padding byte exists.
    pub port: u32,
}

/// Value of [`DESTS`]: who serves the destination.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestValue {
    /// The worker that owns the cluster.
    pub worker: u32,
}

/// Value of [`ADDRESSES`]: an allocated address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressValue {
    /// Index into [`COUNTS`].
    pub slot: u32,
    /// How many of 65,536 packets are dropped; [`DROP_ALL`] is a blackhole.
    pub fault: u32,
}

/// Value of [`COUNTS`]: what was seen for one address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Frames addressed to it, whatever became of them.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
    /// How many of the packets a fault dropped.
    pub dropped: u64,
}

/// Value of [`CONFIG`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// [`REFUSE_WITH_RESET`], [`ANSWER_PING`], [`LOG`].
    pub flags: u32,
}

impl Config {
    /// Whether `flag` is set.
    #[inline(always)]
    pub const fn has(self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// Value of [`EDGES`]: a link that carries the edge program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The link's own hardware address; frames to another one are not ours.
    pub mac: Mac,
    /// [`ANSWER_NEIGHBOURS`].
    pub flags: u16,
}

/// Why a packet or a connection was treated as it was: the index into [`REASONS`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Neither to a cluster nor to a guarded prefix; passed untouched.
    Foreign = 0,
    /// Headers cut short or contradictory; passed untouched.
    Malformed = 1,
    /// To an allocated address; passed to the stack.
    Served = 2,
    /// A fragment to an allocated address; passed to the stack, which reassembles.
    Fragment = 3,
    /// To a guarded address that no cluster holds; dropped.
    Unallocated = 4,
    /// TCP to a guarded address that no cluster holds; refused with RST.
    Refused = 5,
    /// Dropped because the address is a blackhole.
    Blackhole = 6,
    /// Dropped by the share the address loses.
    Lossy = 7,
    /// An ARP request answered.
    ArpAnswered = 8,
    /// A neighbour solicitation answered.
    NeighbourAnswered = 9,
    /// An ICMP echo request answered.
    EchoAnswered = 10,
    /// A connection handed to the worker that owns its destination. A packet that comes after its
    /// connection was forgotten is looked up like a new one, and counted like one.
    Steered = 11,
    /// A connection to a known destination whose worker has no listening socket; refused.
    NoListener = 12,
    /// A connection to a guarded address at a port that nobody serves; refused.
    NotServed = 13,
    /// An answer that could not be written into the packet; dropped.
    Unanswerable = 14,
}

impl Reason {
    /// Every reason, in the order of its index.
    pub const ALL: [Self; 15] = [
        Self::Foreign,
        Self::Malformed,
        Self::Served,
        Self::Fragment,
        Self::Unallocated,
        Self::Refused,
        Self::Blackhole,
        Self::Lossy,
        Self::ArpAnswered,
        Self::NeighbourAnswered,
        Self::EchoAnswered,
        Self::Steered,
        Self::NoListener,
        Self::NotServed,
        Self::Unanswerable,
    ];

    /// The name used as a label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Malformed => "malformed",
            Self::Served => "served",
            Self::Fragment => "fragment",
            Self::Unallocated => "unallocated",
            Self::Refused => "refused",
            Self::Blackhole => "blackhole",
            Self::Lossy => "lossy",
            Self::ArpAnswered => "arp_answered",
            Self::NeighbourAnswered => "neighbour_answered",
            Self::EchoAnswered => "echo_answered",
            Self::Steered => "steered",
            Self::NoListener => "no_listener",
            Self::NotServed => "not_served",
            Self::Unanswerable => "unanswerable",
        }
    }
}

/// How many reasons there are: the size of [`REASONS`].
pub const REASON_COUNT: u32 = 15;

/// An address family, as the index of a worker's listening socket needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where in [`LISTENERS`] the socket of `worker` for `family` stands.
#[inline(always)]
pub const fn listener_index(worker: u32, family: Family) -> u32 {
    worker.wrapping_mul(2).wrapping_add(match family {
        Family::V4 => 0,
        Family::V6 => 1,
    })
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(size_of::<Mac>() == 6);
    assert!(size_of::<DestKey>() == 16 + 4);
    assert!(size_of::<DestValue>() == 4);
    assert!(size_of::<AddressValue>() == 4 + 4);
    assert!(size_of::<Count>() == 8 + 8 + 8);
    assert!(size_of::<Config>() == 4);
    assert!(size_of::<Edge>() == 6 + 2);
    assert!(Reason::ALL.len() == REASON_COUNT as usize);
};

/// What one map looks like: its name and the sizes of its key and value in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Name in the object.
    pub name: &'static str,
    /// Size of a key.
    pub key: usize,
    /// Size of a value.
    pub value: usize,
}

const fn shape<K, V>(name: &'static str) -> MapShape {
    MapShape { name, key: size_of::<K>(), value: size_of::<V>() }
}

/// Size of a trie key: a prefix length before the address.
const PREFIX_SIZE: usize = 4 + size_of::<Address>();

/// The shape of every map of ours, for the test that reads the committed object.
pub const SHAPES: [MapShape; 8] = [
    shape::<DestKey, DestValue>(DESTS),
    shape::<Address, AddressValue>(ADDRESSES),
    shape::<u32, Count>(COUNTS),
    MapShape { name: POOLS, key: PREFIX_SIZE, value: size_of::<u32>() },
    shape::<u32, u64>(REASONS),
    shape::<u32, u32>(LISTENERS),
    shape::<u32, Config>(CONFIG),
    shape::<u32, Edge>(EDGES),
];

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya asks for a promise about the bytes of map types")]
    use super::{Address, AddressValue, Config, Count, DestKey, DestValue, Edge};

    // SAFETY (all): repr(C) or a single array, no padding (sizes asserted above), Copy, 'static,
    // and valid for any bit pattern.

    // SAFETY: see above.
    unsafe impl aya::Pod for Address {}
    // SAFETY: see above.
    unsafe impl aya::Pod for DestKey {}
    // SAFETY: see above.
    unsafe impl aya::Pod for DestValue {}
    // SAFETY: see above.
    unsafe impl aya::Pod for AddressValue {}
    // SAFETY: see above.
    unsafe impl aya::Pod for Count {}
    // SAFETY: see above.
    unsafe impl aya::Pod for Config {}
    // SAFETY: see above.
    unsafe impl aya::Pod for Edge {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_at_their_index_and_have_names_of_their_own() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let same = Reason::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{}", reason.name());
        }
    }

    #[test]
    fn ipv4_is_kept_mapped() {
        let v4: core::net::IpAddr = "10.1.2.3".parse().unwrap();
        let mapped: core::net::IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        assert_eq!(Address::from(v4), Address::from(mapped));
    }

    #[test]
    fn listeners_of_two_workers_do_not_meet() {
        let all = [
            listener_index(0, Family::V4),
            listener_index(0, Family::V6),
            listener_index(1, Family::V4),
            listener_index(1, Family::V6),
        ];
        assert_eq!(all, [0, 1, 2, 3]);
    }
}
