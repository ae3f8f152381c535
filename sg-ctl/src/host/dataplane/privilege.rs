//! What the process and the kernel must be able to do, asked before anything is tried.

use aya::util::KernelVersion;

use super::error::DataplaneError;

/// The oldest kernel: XDP on frames of several buffers (`BPF_F_XDP_HAS_FRAGS`,
/// `bpf_xdp_get_buff_len`) came with Linux 5.18.
const OLDEST_KERNEL: KernelVersion = KernelVersion::new(5, 18, 0);
const OLDEST_KERNEL_TEXT: &str = "5.18";

/// Names and numbers (`include/uapi/linux/capability.h`) of the capabilities that loading and
/// attaching programs takes.
const NEEDED: [(&str, u8); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// The capability that used to stand for the last two and still does.
const CAP_SYS_ADMIN: u8 = 21;

/// Checks capabilities and kernel version.
pub(super) fn check() -> Result<(), DataplaneError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Without /proc nothing is known: then the kernel's own refusals must do.
    if let Some(effective) = effective_capabilities(&status) {
        let missing = missing(effective);
        if !missing.is_empty() {
            return Err(DataplaneError::NotPermitted { missing });
        }
    }
    // Written by kernels with PREEMPT_RT: there a program may be interrupted by another on the same
    // CPU, and they share their working memory.
    if std::fs::read_to_string("/sys/kernel/realtime").is_ok_and(|text| text.trim() == "1") {
        return Err(DataplaneError::RealTimeKernel);
    }
    match KernelVersion::current() {
        Ok(running) if running < OLDEST_KERNEL => Err(DataplaneError::KernelTooOld {
            running: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            needed: OLDEST_KERNEL_TEXT,
        }),
        _ => Ok(()),
    }
}

/// The line `CapEff:` of /proc/PID/status.
fn effective_capabilities(status: &str) -> Option<u64> {
    let digits = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |capability: u8| effective >> capability & 1 != 0;
    NEEDED
        .into_iter()
        .filter(|(name, number)| !has(*number) && (*name == "CAP_NET_ADMIN" || !has(CAP_SYS_ADMIN)))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
        assert!(missing(1 << 12 | 1 << 38 | 1 << 39).is_empty());
    }

    #[test]
    fn reads_the_status_file() {
        let status = "Name:\tsg-ctl\nCapPrm:\t0000000000000000\nCapEff:\t000000c000001000\n";
        assert_eq!(effective_capabilities(status), Some(0xc0_0000_1000));
        assert_eq!(effective_capabilities(""), None);
    }
}
