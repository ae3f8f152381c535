//! Verdicts and reasons: every packet passes or drops for exactly one of them.

/// What happens to a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The packet goes on.
    Pass,
    /// The packet ends here, silently (AWS: no reset, no ICMP).
    Drop,
}

/// Number of reason slots in the counters, a power of two so that the kernel can mask an index.
pub const REASON_SLOTS: usize = 64;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident = $code:literal $verdict:ident $name:literal,)+) => {
        /// Why a packet passed or dropped: counter index, event code and metric label in one.
        ///
        /// Codes are part of the map layout: never renumber one, only add.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])+ $variant = $code,)+
        }

        impl Reason {
            /// Every reason, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason of a code, `None` for a code of another version.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name in logs, JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether it is traffic that groups never filter.
            pub const fn is_infrastructure(self) -> bool {
                (Self::InfraArp as u8) <= self as u8 && self as u8 <= (Self::InfraIgmp as u8)
            }

            /// What the reason does to the packet.
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$variant => Verdict::$verdict,)+
                }
            }
        }
    };
}

reasons! {
    /// Belongs to a tracked flow, in either direction.
    Established = 0 Pass "established",
    /// Admitted by a rule and opened a tracked flow.
    New = 1 Pass "new",
    /// Admitted by a rule of a flow that needs no tracking (AWS: all addresses, and all responses
    /// admitted by the other direction).
    Untracked = 2 Pass "untracked",
    /// The answer within such a flow.
    UntrackedReply = 3 Pass "untracked-reply",
    /// Admitted by a rule, but of a kind that opens no flow: an ICMP message that is no query.
    Stateless = 4 Pass "stateless",
    /// Admitted by a rule: a TCP segment from the middle of a connection that is not tracked, or
    /// the reset that answers one.
    MidStream = 5 Pass "mid-stream",
    /// An ICMP error about a live flow.
    Related = 6 Pass "related",
    /// A later fragment of a datagram whose first fragment passed, or that a rule without ports admits.
    Fragment = 7 Pass "fragment",
    /// ARP.
    InfraArp = 8 Pass "infra-arp",
    /// Another protocol below IP (LLDP, spanning tree, …).
    InfraNonIp = 9 Pass "infra-non-ip",
    /// IPv6 neighbour discovery, hop limit 255.
    InfraNd = 10 Pass "infra-nd",
    /// IPv6 multicast listener discovery.
    InfraMld = 11 Pass "infra-mld",
    /// DHCP between this host and its servers.
    InfraDhcp4 = 12 Pass "infra-dhcp4",
    /// DHCPv6 between this host and its servers.
    InfraDhcp6 = 13 Pass "infra-dhcp6",
    /// Link-local services of EC2 (resolver, metadata, time), where switched on.
    InfraEc2 = 14 Pass "infra-ec2",
    /// IPv4 multicast membership (IGMP).
    InfraIgmp = 15 Pass "infra-igmp",
    /// Admitted by a rule, but other CPUs took every slot of its flow: none was opened.
    FlowContended = 20 Pass "flow-contended",
    /// No rule of the interface's groups admits it.
    NoRule = 32 Drop "no-rule",
    /// The interface has no policy that these programs can read.
    NoPolicy = 33 Drop "no-policy",
    /// Admitted, but the flow table has no slot that may be taken.
    FlowTableFull = 34 Drop "flow-table-full",
    /// A later fragment without a known first one, and no rule without ports admits it.
    FragmentUnknown = 36 Drop "fragment-unknown",
    /// Cut off inside the Ethernet header or a VLAN tag.
    MalformedEthernet = 37 Drop "malformed-ethernet",
    /// More than two VLAN tags.
    VlanDepth = 38 Drop "vlan-depth",
    /// An IPv4 header that is cut off or contradicts itself or the frame.
    MalformedIpv4 = 39 Drop "malformed-ipv4",
    /// An IPv6 header or extension header that is cut off or contradicts itself or the frame.
    MalformedIpv6 = 40 Drop "malformed-ipv6",
    /// More IPv6 extension headers than are followed.
    Ipv6ExtensionChain = 41 Drop "ipv6-extension-chain",
    /// A TCP header that is cut off or shorter than TCP allows.
    MalformedTcp = 42 Drop "malformed-tcp",
    /// A UDP header that is cut off or whose length contradicts the packet.
    MalformedUdp = 43 Drop "malformed-udp",
    /// An ICMP header that is cut off.
    MalformedIcmp = 44 Drop "malformed-icmp",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_fit_the_counters() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert!((*reason as usize) < REASON_SLOTS);
            assert_eq!(Reason::from_code(*reason as u8), Some(*reason));
            for other in &Reason::ALL[i + 1..] {
                assert_ne!(reason.name(), other.name());
                assert_ne!(*reason as u8, *other as u8);
            }
        }
    }

    #[test]
    fn drops_have_the_upper_half_of_the_codes() {
        for reason in Reason::ALL {
            assert_eq!(
                *reason as u8 >= 32,
                reason.verdict() == Verdict::Drop,
                "{}",
                reason.name()
            );
        }
    }
}
