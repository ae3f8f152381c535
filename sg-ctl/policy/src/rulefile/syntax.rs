//! The keys of a rule file. This is the one place that lists them: the decoder, the "did you
//! mean" of unknown keys and the JSON schema all come from these declarations, and their comments
//! are the descriptions in the schema.

use super::console::ConsoleType;
use super::declare::{decode_names, mapping};
use super::decode::{Entries, Located};
use super::icmp::IcmpText;
use super::members::MemberSet;
use super::peer::{AddressText, ListEntry, PeerText};
use super::scalar::{
    Bool, Count, FlowCount, FlowLimit, FlowShare, LogLimit, Seconds, Switch, SwitchOrAuto, Text,
};
use super::service::{Ports, Protocol};
use super::template::Template;
use crate::model::{Hook, LogMode, Related, Side, TcpPickup};

decode_names!(Hook, LogMode, Related, Side, TcpPickup);

mapping! {
    /// Security groups, and the interfaces that carry them.
    #[schemars(title = "sg rule file")]
    Document {
        /// Security groups by name. Names are unique without regard to case, have at most 255
        /// characters of `a-z A-Z 0-9 ._-:/()#,@[]+=&;{}!$*` and space, and do not begin with
        /// `sg-`. The group `default` exists even if it is not written here: its members reach
        /// each other, and everything may leave.
        security_groups: Entries<Located<Group>>,
        /// Named sets of address ranges, for rules to refer to as `pl:NAME`.
        prefix_lists: Entries<Located<PrefixList>>,
        /// Addresses on other hosts that carry a group, by the name or id of the group.
        members: Entries<MemberSet>,
        /// Interfaces to guard, by name, or by a pattern of names such as `tap*`. A name wins over
        /// patterns, a longer pattern over a shorter one.
        interfaces: Entries<Located<Interface>>,
        /// In place of `interfaces`: those of the hosts of a VPC, by HOST/INTERFACE or patterns of
        /// both, such as `app-*/eth0`. An interface's name wins over patterns, a host's name too.
        hosts: Entries<Located<Interface>>,
        /// Quotas, those left out being AWS's defaults, and the size of the flow table.
        limits: Located<Limits>,
    }

    /// A security group.
    Group {
        /// The id to keep, such as one that AWS gave: `sg-` and 8 to 17 hexadecimal digits.
        /// Without it, the id is derived from the name.
        id: Located<Text>,
        /// Free text of at most 255 characters.
        description: Located<Text>,
        /// Free key-value pairs, at most 50.
        tags: Entries<Located<Text>>,
        /// Rules for what may reach the group's interfaces. Left out: nothing may.
        inbound: Vec<Located<Rule>>,
        /// Rules for what may leave the group's interfaces. Left out: everything may, IPv4 and
        /// IPv6. `[]`: nothing may.
        outbound: Vec<Located<Rule>>,
    }

    /// One rule. It states what is allowed by `type`, by `template`, or by `protocol` with `ports` or `icmp`;
    /// and from where by `source` or `sources` (inbound), or to where by `destination` or
    /// `destinations` (outbound).
    Rule {
        /// The id to keep, such as one that AWS gave: `sgr-` and 8 to 17 hexadecimal digits.
        /// Only for rules with one source or destination. Without it, the id is derived from
        /// what the rule says.
        id: Located<Text>,
        /// A type of the AWS console, such as `HTTPS`, `MySQL/Aurora` or `All traffic`, in upper
        /// or lower case.
        r#type: Located<ConsoleType>,
        /// A named rule, such as `kafka-broker-tcp`, in place of `type`; `sg-ctl templates` lists
        /// them.
        template: Located<Template>,
        /// The protocol.
        protocol: Located<Protocol>,
        /// Destination ports; compulsory for TCP and UDP, and only for them.
        ports: Located<Ports>,
        /// Messages; compulsory for ICMP and ICMPv6, and only for them.
        icmp: Located<IcmpText>,
        /// Who may send (inbound rules).
        source: Located<PeerText>,
        /// Several sources: each is a rule of its own with an id of its own.
        sources: Vec<Located<PeerText>>,
        /// Who may be reached (outbound rules).
        destination: Located<PeerText>,
        /// Several destinations: each is a rule of its own with an id of its own.
        destinations: Vec<Located<PeerText>>,
        /// Free text of at most 255 characters.
        description: Located<Text>,
        /// Free key-value pairs, at most 50.
        tags: Entries<Located<Text>>,
    }

    /// How one interface is guarded.
    Interface {
        /// The groups that the interface carries, by name or id. Left out: `default`.
        groups: Located<Vec<Located<Text>>>,
        /// Where the addresses of the protected side lie: single addresses or ranges. An address
        /// elsewhere makes it no member of its groups. Of a workload, single addresses are those
        /// that it has. Left out: anywhere.
        addresses: Vec<Located<AddressText>>,
        /// Which side is protected. Left out: `nic`.
        side: Side,
        /// Where the receiving program is attached. Left out: `auto`.
        hook: Hook,
        /// Judge, count and log, but drop nothing. Left out: false.
        audit: Bool,
        /// Which verdicts are logged. Left out: `all`.
        log: LogMode,
        /// Events that are logged per second at most, beyond a burst of that many; `off` or 0: no
        /// limit. What is not logged is counted. Left out: 10000.
        log_limit: LogLimit,
        /// Which ICMP errors pass because they quote a live flow. Left out: `errors`.
        related: Related,
        /// Whether TCP segments without SYN open a flow when a rule admits them. Left out:
        /// `attach`, within 120 seconds after attach.
        tcp_pickup: TcpPickup,
        /// Traffic that groups never filter, each kind `on` unless switched `off` here.
        infra: Infrastructure,
        /// Idle times in seconds after which a flow is forgotten.
        timeouts: Timeouts,
        /// Flows that the flow table keeps room for, whatever other interfaces hold. Left out: an
        /// equal part of what the interfaces with a `flow_share` leave, at least a 64th of the table.
        flow_share: Located<FlowShare>,
    }

    /// Traffic that groups never filter.
    Infrastructure {
        /// ARP.
        arp: Switch,
        /// Every other protocol below IP.
        non_ip: Switch,
        /// IPv6 neighbour discovery.
        nd: Switch,
        /// IPv6 multicast listener discovery.
        mld: Switch,
        /// IPv4 multicast membership (IGMP).
        igmp: Switch,
        /// The host's DHCP client.
        dhcp4: Switch,
        /// The host's DHCPv6 client.
        dhcp6: Switch,
        /// The link-local services of EC2. Left out: `auto`, which is on if the host runs there.
        ec2: SwitchOrAuto,
    }

    /// Idle times in seconds after which a flow is forgotten.
    Timeouts {
        /// TCP after the handshake. Left out: 432000 (5 days).
        tcp_established: Seconds<60, 432_000>,
        /// TCP before the handshake is complete. Left out: 60.
        tcp_half_open: Seconds<1, 432_000>,
        /// TCP after the FIN of one side. Left out: 120.
        tcp_half_closed: Seconds<1, 432_000>,
        /// TCP after the FIN of both sides, or RST. Left out: 10.
        tcp_closing: Seconds<1, 432_000>,
        /// UDP before the second exchange. Left out: 30.
        udp: Seconds<30, 60>,
        /// UDP after the second exchange. Left out: 180.
        udp_stream: Seconds<60, 180>,
        /// ICMP queries. Left out: 30.
        icmp: Seconds<1, 432_000>,
        /// Every other protocol. Left out: 600.
        other: Seconds<1, 432_000>,
    }

    /// Quotas, and the size of the flow table.
    Limits {
        /// Rules per group, for each direction and family apart. A prefix list counts as its
        /// size. Left out: 60.
        rules_per_group: Located<Count>,
        /// Groups per interface. Left out: 5.
        groups_per_interface: Located<Count>,
        /// Bound on `rules_per_group` × `groups_per_interface`. Left out: 1000.
        product: Located<Count>,
        /// Entries per prefix list. Left out: 1000.
        prefix_list_entries: Located<Count>,
        /// Live flows that fit the flow table, which all interfaces share. Left out: 262144.
        flow_table_size: FlowCount,
        /// Flows of one remote address at an interface beyond which they make room for others; `off`
        /// or 0: no limit. Left out: a 16th of the flow table where the side is `workload`, else `off`.
        flows_per_remote: FlowLimit,
    }

    /// A prefix list that states its size.
    SizedPrefixList {
        /// Address ranges, and other lists as `pl:NAME`.
        entries: Vec<Located<ListEntry>>,
        /// The size that references count as in quotas. Left out: the number of entries.
        max_entries: Located<Count>,
    }
}

/// A prefix list: its entries, or a mapping that also states its size.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(untagged)]
pub(super) enum PrefixList {
    /// Address ranges, and other lists as `pl:NAME`.
    Entries(Vec<Located<ListEntry>>),
    /// Entries and size.
    Sized(SizedPrefixList),
}
