//! From an interface's specification to the settings that its programs read.

use std::path::Path;
use std::sync::LazyLock;

use sg_common::flow::FlowState;
use sg_common::limit;
use sg_common::reason::{Reason, Verdict};
use sg_common::settings::{
    INFRA_ARP, INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_IGMP, INFRA_MLD, INFRA_ND, INFRA_NON_IP,
    InterfaceSettings, LOG_UNTRACKED_SYN, MODE_AUDIT, MODE_ENFORCE, PICKUP_ALWAYS, PICKUP_ATTACH,
    PICKUP_NEVER, RELATED_ALL, RELATED_ERRORS, RELATED_OFF, RELATED_PMTUD,
};

use sg_policy::model::{Infrastructure, InterfaceSpec, LogMode, Related, TcpPickup, Timeouts};

/// The settings of one interface; `pickup_until` is in jiffies.
pub fn settings(
    spec: &InterfaceSpec,
    ifindex: u32,
    hz: u64,
    pickup_until: u64,
) -> InterfaceSettings {
    InterfaceSettings {
        timeouts: timeouts(&spec.timeouts, hz),
        log_reasons: log_reasons(spec.log),
        log_interval: limit::interval(spec.log_limit, hz),
        pickup_until,
        infra: infra(spec.infrastructure),
        ifindex,
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
        ..InterfaceSettings::UNUSED
    }
}

/// The idle timeout of each state, in jiffies.
fn timeouts(timeouts: &Timeouts, hz: u64) -> [u64; FlowState::SLOTS] {
    let mut jiffies = [0; FlowState::SLOTS];
    for state in FlowState::ALL {
        let seconds = match state {
            FlowState::TCP_ESTABLISHED | FlowState::TCP_SEEDED => timeouts.tcp_established,
            FlowState::TCP_HALF_CLOSED => timeouts.tcp_half_closed,
            FlowState::TCP_CLOSING => timeouts.tcp_closing,
            FlowState::TCP_SYN_SENT | FlowState::TCP_SYN_RECEIVED | FlowState::TCP_PICKED_UP => {
                timeouts.tcp_half_open
            }
            FlowState::UDP_UNANSWERED | FlowState::UDP_ANSWERED | FlowState::UDP_ASKED_AGAIN => {
                timeouts.udp
            }
            FlowState::UDP_STREAM | FlowState::UDP_SEEDED => timeouts.udp_stream,
            FlowState::ICMP_QUERY => timeouts.icmp,
            _ => timeouts.other,
        };
        jiffies[usize::from(state.0)] = u64::from(seconds) * hz;
    }
    jiffies
}

/// The reasons that are logged.
///
/// "Allowed" means the packet that begins something, not every packet of it: what belongs to a
/// flow (`established`, `fragment`, `untracked-reply`) or comes in the middle of an unknown one
/// (`mid-stream`) is counted only, and of untracked flows only a TCP SYN can be told to be the
/// first.
fn log_reasons(mode: LogMode) -> u64 {
    let denied = Reason::ALL
        .iter()
        .filter(|reason| reason.verdict() == Verdict::Drop)
        .fold(0, |bits, reason| bits | bit(*reason));
    let allowed = bit(Reason::New) | bit(Reason::Stateless) | bit(Reason::Related);
    match mode {
        LogMode::Off => 0,
        LogMode::Denied => denied,
        LogMode::Allowed => allowed | LOG_UNTRACKED_SYN,
        LogMode::All => denied | allowed | LOG_UNTRACKED_SYN,
    }
}

const fn bit(reason: Reason) -> u64 {
    1 << reason as u8
}

fn infra(infrastructure: Infrastructure) -> u32 {
    let Infrastructure {
        arp,
        non_ip,
        nd,
        mld,
        igmp,
        dhcp4,
        dhcp6,
        ec2,
    } = infrastructure;
    [
        (arp, INFRA_ARP),
        (non_ip, INFRA_NON_IP),
        (nd, INFRA_ND),
        (mld, INFRA_MLD),
        (igmp, INFRA_IGMP),
        (dhcp4, INFRA_DHCP4),
        (dhcp6, INFRA_DHCP6),
        (ec2.unwrap_or_else(|| *IS_EC2), INFRA_EC2),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// Whether this host is an EC2 instance, by what its firmware says (AWS: "Detect whether a host is
/// an EC2 instance": the vendor on Nitro, the hypervisor's UUID on Xen).
static IS_EC2: LazyLock<bool> = LazyLock::new(|| {
    let begins = |path: &str, with: &str| {
        std::fs::read_to_string(Path::new(path))
            .is_ok_and(|text| text.trim_start().to_ascii_lowercase().starts_with(with))
    };
    begins("/sys/class/dmi/id/sys_vendor", "amazon ec2") || begins("/sys/hypervisor/uuid", "ec2")
});

#[cfg(test)]
mod tests {
    use super::*;
    use sg_common::settings::INFRA_DEFAULT;

    fn logs(mode: LogMode, reason: Reason) -> bool {
        log_reasons(mode) & bit(reason) != 0
    }

    #[test]
    fn every_drop_is_denied_and_no_pass_is() {
        for reason in Reason::ALL {
            let is_drop = reason.verdict() == Verdict::Drop;
            assert_eq!(logs(LogMode::Denied, *reason), is_drop, "{}", reason.name());
            assert!(!logs(LogMode::Off, *reason));
            assert!(!(is_drop && logs(LogMode::Allowed, *reason)));
        }
        assert_eq!(log_reasons(LogMode::Denied) & LOG_UNTRACKED_SYN, 0);
    }

    #[test]
    fn allowed_logs_beginnings_only() {
        for reason in [Reason::New, Reason::Stateless, Reason::Related] {
            assert!(logs(LogMode::Allowed, reason), "{}", reason.name());
        }
        for reason in [
            Reason::Established,
            Reason::Untracked,
            Reason::UntrackedReply,
            Reason::MidStream,
            Reason::Fragment,
            Reason::InfraArp,
            Reason::InfraNd,
        ] {
            assert!(!logs(LogMode::All, reason), "{}", reason.name());
        }
        assert_ne!(log_reasons(LogMode::Allowed) & LOG_UNTRACKED_SYN, 0);
        assert_eq!(
            log_reasons(LogMode::All),
            log_reasons(LogMode::Allowed) | log_reasons(LogMode::Denied)
        );
    }

    #[test]
    fn every_state_has_a_timeout() {
        let spec = InterfaceSpec {
            timeouts: Timeouts {
                tcp_established: 1,
                tcp_half_open: 2,
                tcp_half_closed: 3,
                tcp_closing: 4,
                udp: 5,
                udp_stream: 6,
                icmp: 7,
                other: 8,
            },
            ..InterfaceSpec::default()
        };
        let built = settings(&spec, 7, 250, 11);
        let seconds = FlowState::ALL.map(|state| built.timeouts[usize::from(state.0)] / 250);
        assert_eq!(seconds, [2, 2, 2, 1, 3, 4, 5, 5, 5, 6, 7, 8, 8, 1, 6]);
        assert_eq!((built.ifindex, built.pickup_until), (7, 11));
        assert_eq!(built.mode, MODE_ENFORCE);
    }

    #[test]
    fn infrastructure_can_be_switched_off_one_by_one() {
        let default = Infrastructure {
            ec2: Some(false),
            ..Infrastructure::default()
        };
        assert_eq!(infra(default), INFRA_DEFAULT);
        assert_eq!(
            infra(Infrastructure {
                arp: false,
                ec2: Some(true),
                ..default
            }),
            INFRA_DEFAULT & !INFRA_ARP | INFRA_EC2
        );
    }
}
