//! The settings that an interface of a rule file gets.

use sg_common::{
    flow::FlowState,
    settings::{
        INFRA_ARP, INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_MLD, INFRA_ND, INFRA_NON_IP,
        InterfaceSettings, MODE_AUDIT, MODE_ENFORCE, PICKUP_ALWAYS, PICKUP_ATTACH, PICKUP_NEVER,
        PICKUP_WINDOW_SECONDS, RELATED_ALL, RELATED_ERRORS, RELATED_OFF, RELATED_PMTUD,
    },
};
use sg_ctl::model::{InterfaceSpec, Related, TcpPickup};

pub(super) fn of(spec: &InterfaceSpec, now: u64, hz: u64) -> InterfaceSettings {
    let times = &spec.timeouts;
    let mut timeouts = [0; FlowState::SLOTS];
    for (state, seconds) in [
        (FlowState::TCP_SYN_SENT, times.tcp_half_open),
        (FlowState::TCP_SYN_RECEIVED, times.tcp_half_open),
        (FlowState::TCP_PICKED_UP, times.tcp_half_open),
        (FlowState::TCP_ESTABLISHED, times.tcp_established),
        (FlowState::TCP_HALF_CLOSED, times.tcp_half_closed),
        (FlowState::TCP_CLOSING, times.tcp_closing),
        (FlowState::UDP_UNANSWERED, times.udp),
        (FlowState::UDP_ANSWERED, times.udp),
        (FlowState::UDP_ASKED_AGAIN, times.udp),
        (FlowState::UDP_STREAM, times.udp_stream),
        (FlowState::ICMP_QUERY, times.icmp),
        (FlowState::OTHER, times.other),
    ] {
        timeouts[state.0 as usize] = u64::from(seconds) * hz;
    }
    let switches = &spec.infrastructure;
    let infra = [
        (switches.arp, INFRA_ARP),
        (switches.non_ip, INFRA_NON_IP),
        (switches.nd, INFRA_ND),
        (switches.mld, INFRA_MLD),
        (switches.dhcp4, INFRA_DHCP4),
        (switches.dhcp6, INFRA_DHCP6),
        (switches.ec2 == Some(true), INFRA_EC2),
    ];
    InterfaceSettings {
        timeouts,
        log_reasons: 0,
        pickup_until: now + PICKUP_WINDOW_SECONDS * hz,
        audit_after: 0,
        infra: infra.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum(),
        ifindex: 1,
        mode: if spec.audit { MODE_AUDIT } else { MODE_ENFORCE },
        related: match spec.related {
            Related::Off => RELATED_OFF,
            Related::Pmtud => RELATED_PMTUD,
            Related::Errors => RELATED_ERRORS,
            Related::All => RELATED_ALL,
        },
        tcp_pickup: match spec.tcp_pickup {
            TcpPickup::Attach => PICKUP_ATTACH,
            TcpPickup::Always => PICKUP_ALWAYS,
            TcpPickup::Never => PICKUP_NEVER,
        },
        pad: [0; 5],
    }
}
