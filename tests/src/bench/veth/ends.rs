//! The client's frames, and what stands between them and the server.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    process::{Command, Stdio},
};

use super::SERVER;
use crate::{
    bench::{scenes::OPEN, stage::OBJECT},
    netns::Namespace,
    packet::udp,
};
use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{SchedClassifier, TcAttachType, tc::qdisc_add_clsact},
};

/// A datagram of the client with a number.
pub(super) fn frame(number: u32, port: u16) -> Vec<u8> {
    let from = source(number);
    let from = (IpAddr::from(*from.ip()), from.port());
    udp(from, (IpAddr::from(SERVER), port)).payload(18).bytes()
}

/// Where that datagram comes from.
pub(super) fn source(number: u32) -> SocketAddrV4 {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number / 50_000);
    SocketAddrV4::new(address, (1024 + number % 50_000) as u16)
}

/// Attaches programs that do nothing to both hooks of `eth0`.
pub(super) fn attach_empty() -> Result<Ebpf> {
    // Where there is no TCX; it may be there already.
    let _ = qdisc_add_clsact("eth0");
    let mut bench = Ebpf::load(OBJECT)?;
    let program = bench
        .program_mut("bench_tc_empty")
        .context("the object has it")?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load()?;
    program.attach("eth0", TcAttachType::Ingress)?;
    program.attach("eth0", TcAttachType::Egress)?;
    Ok(bench)
}

/// Puts rules in force by nftables that are those of the rule file.
pub(super) fn nft(namespace: &Namespace, peers: &str) -> Result<()> {
    let rules = format!(
        "table inet sg {{\n\
         set peers {{ type ipv4_addr; flags interval; auto-merge; \
         elements = {{ 198.18.0.0/15, {peers} }} }}\n\
         chain in {{ type filter hook input priority 0; policy drop;\n\
         ct state established,related accept\n\
         ip saddr @peers meta l4proto {{ tcp, udp }} th dport {OPEN} accept\n}}\n\
         chain out {{ type filter hook output priority 0; policy drop;\n\
         ct state established,related accept\n}}\n}}\n"
    );
    nft_rules(namespace, &rules)
}

/// Puts rules in force by nftables.
pub(super) fn nft_rules(namespace: &Namespace, rules: &str) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped());
    let child = namespace.enter(|| nft.spawn());
    let mut child = child.context("cannot run nft (Debian: nftables)")?;
    let mut input = child.stdin.take().context("it is piped")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    ensure!(child.wait()?.success(), "nft refuses its rules");
    Ok(())
}
