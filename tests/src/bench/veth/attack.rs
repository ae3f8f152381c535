//! Part d, too: what attacks on the flow table do to everybody else, beside nftables with conntrack.
//!
//! Each attack sends frames that nobody proves, as fast as one CPU can, while a client that means it
//! goes on opening connections: how many of these are served meanwhile and afterwards, how long it
//! takes until all are, and how many connections that were open before carry data no more.

mod frames;

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::socket::{MsgFlags, send};
use serde::Serialize;

use self::frames::Attack;
use super::{CLIENT, Firewall, Link, OPEN, SERVER, ends::nft_rules};
use crate::{
    bench::{
        Options, pin_to_cpu, pin_to_last_cpu,
        report::{lines, table},
    },
    netns::Namespace,
    sg_ctl::SgCtl,
    traffic::Server,
    wire::raw_socket,
};

/// How long a connection may take that is opened during an attack or after it, to carry a byte there and
/// back. A segment that is lost is sent again after a second: that is too late.
const PATIENCE: Duration = Duration::from_millis(500);
/// Connections that are tried after an attack, at most.
const AFTERWARDS: u32 = 40;
/// The tenant's address.
const TENANT: &str = "10.99.1.2";

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct AttackScale {
    /// How long each attack goes on; zero = only as many frames as are sent at once.
    pub time: Duration,
    /// For how long it is looked afterwards whether connections are served.
    pub watch: Duration,
    /// How long connections are left alone after resets, before they must carry data: longer than one
    /// that is thought to be closing is remembered.
    pub idle: Duration,
    /// Flows that sg's table is made for.
    pub table: u32,
    /// Connections that are open before.
    pub live: u32,
}

/// What an attack did behind one firewall.
#[derive(Clone, Debug, Serialize)]
pub struct AttackRow {
    /// Which attack.
    pub attack: &'static str,
    /// Which firewall.
    pub firewall: Firewall,
    /// Frames of the attack that were sent a second.
    pub rate: u32,
    /// Share of the connections tried meanwhile that were served.
    pub during: f64,
    /// Share of those tried right after it.
    pub after: f64,
    /// Seconds from its end until all were served; none = not while it was looked at.
    pub normal: Option<f64>,
    /// Connections that were open before.
    pub live: u32,
    /// Those of them that carry data no more.
    pub lost: u32,
}

/// Attacks every firewall in every way, one after the other.
///
/// # Errors
/// When a network cannot be set up, or connections are not served before the attack.
pub fn measure(options: &Options) -> Result<Vec<AttackRow>> {
    let filters = |firewall: &&Firewall| matches!(firewall, Firewall::Sg | Firewall::Nftables);
    let firewalls: Vec<_> = options.scale.firewalls.iter().filter(filters).collect();
    let mut rows = Vec::new();
    for attack in Attack::ALL {
        for firewall in &firewalls {
            options.progress(&format!("{}, {}", attack.name(), firewall.name()));
            let row = Field::new(**firewall, options.scale.attack).attacked(attack);
            rows.push(row.with_context(|| format!("{}, {}", attack.name(), firewall.name()))?);
        }
    }
    Ok(rows)
}

/// A client, a guarded server, and a tenant of the server's.
struct Field {
    firewall: Firewall,
    scale: AttackScale,
    link: Link,
    tenant: Namespace,
}

impl Field {
    fn new(firewall: Firewall, scale: AttackScale) -> Self {
        let link = Link::new(firewall);
        let tenant = Namespace::new("tenant");
        link.server.set("net/ipv4/ip_forward", "1");
        link.server.ip(&format!(
            "link add tenant address 02:00:00:00:00:03 type veth peer name eth0 address \
             02:00:00:00:00:04 netns {}\nlink set tenant up\naddr add 10.99.1.1/24 dev tenant\n\
             route add default via {CLIENT}\n",
            tenant.name()
        ));
        link.server.set("net/ipv4/conf/tenant/rp_filter", "0");
        tenant.ip(&format!(
            "link set eth0 up\naddr add {TENANT}/24 dev eth0\nroute add default via 10.99.1.1\n"
        ));
        Self {
            firewall,
            scale,
            link,
            tenant,
        }
    }

    /// Puts equal rules in force: the client, and whoever says that he is one of a large network, may
    /// come in by any protocol; the tenant may go anywhere.
    fn guard(&self) -> Result<Option<SgCtl<'_>>> {
        if self.firewall == Firewall::Nftables {
            nft_rules(&self.link.server, NFT)?;
            return Ok(None);
        }
        let sg = SgCtl::new(&self.link.server);
        let file = sg.whole_rule_file("rules.yaml", &rules(self.scale.table));
        sg.ok(&["attach", "eth0", "-f", &file]);
        sg.ok(&["attach", "tenant", "--side", "workload", "-f", &file]);
        Ok(Some(sg))
    }

    fn attacked(&self, attack: Attack) -> Result<AttackRow> {
        let _guard = self.guard()?;
        let servers = (
            Server::tcp(&self.link.server, OPEN),
            Server::udp(&self.link.server, OPEN),
        );
        let live: Result<Vec<_>> = (0..self.scale.live)
            .map(|_| self.connect(crate::PATIENCE))
            .collect();
        let live = live.context("connections are not served before")?;
        let from = if attack == Attack::Tenant {
            &self.tenant
        } else {
            &self.link.client
        };
        let wire = from.enter(raw_socket)?;
        let (sent, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let (time, tried) = thread::scope(|scope| {
            let flood = scope.spawn(|| {
                pin_to_cpu(0);
                let time = self.pour_out(&wire, attack, &sent);
                is_over.store(true, Ordering::Release);
                time
            });
            let tried = self.meanwhile(&is_over);
            (flood.join().expect("it does not panic"), tried)
        });
        pin_to_last_cpu();
        let (after, normal) = self.afterwards();
        if attack == Attack::Resets {
            thread::sleep(self.scale.idle);
        }
        let is_lost = |stream: &&TcpStream| carry(stream, crate::PATIENCE).is_err();
        let lost = live.iter().filter(is_lost).count();
        drop(servers);
        Ok(AttackRow {
            attack: attack.name(),
            firewall: self.firewall,
            rate: (sent.load(Ordering::Relaxed) / time.as_millis().max(1) as u64) as u32 * 1000,
            during: tried,
            after,
            normal,
            live: self.scale.live,
            lost: lost as u32,
        })
    }

    /// Sends the attack's frames until its time is over.
    fn pour_out(&self, wire: &OwnedFd, attack: Attack, sent: &AtomicU64) -> Duration {
        const BURST: u64 = 256;
        let started = Instant::now();
        let mut random = fastrand::Rng::with_seed(1);
        let mut number = 0;
        loop {
            for _ in 0..BURST {
                let frame = attack.frame(number, &mut random);
                // A full queue is the attacker's own problem.
                let _ = send(wire.as_raw_fd(), &frame, MsgFlags::empty());
                number += 1;
            }
            sent.store(number, Ordering::Relaxed);
            if started.elapsed() >= self.scale.time {
                return started.elapsed();
            }
        }
    }

    /// Opens a connection and has it carry a byte there and back.
    fn connect(&self, patience: Duration) -> Result<TcpStream> {
        let server = SocketAddr::from((SERVER, OPEN));
        let connect = || TcpStream::connect_timeout(&server, patience);
        let stream = self.link.client.enter(connect)?;
        carry(&stream, patience)?;
        Ok(stream)
    }

    /// Opens connections until the attack is over, at least one; returns the share that was served.
    fn meanwhile(&self, is_over: &AtomicBool) -> f64 {
        let (mut tried, mut served) = (0, 0);
        while tried == 0 || !is_over.load(Ordering::Acquire) {
            tried += 1;
            served += u32::from(self.connect(PATIENCE).is_ok());
            thread::sleep(Duration::from_millis(5));
        }
        f64::from(served) / f64::from(tried)
    }

    /// Opens connections after the attack: the share that was served, and the seconds after which
    /// all were.
    fn afterwards(&self) -> (f64, Option<f64>) {
        let (ended, mut tried, mut served, mut normal) = (Instant::now(), 0, 0, Some(0.0));
        while tried < AFTERWARDS && (tried == 0 || ended.elapsed() < self.scale.watch) {
            tried += 1;
            if self.connect(PATIENCE).is_ok() {
                served += 1;
                normal = normal.or_else(|| Some(ended.elapsed().as_secs_f64()));
            } else {
                normal = None;
            }
        }
        (f64::from(served) / f64::from(tried), normal)
    }
}

/// Writes the table of attacks.
pub(crate) fn write(rows: &[AttackRow], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\nattacks on the flow table, by one CPU, while a client opens connections: which part of them \
         is served during and after, connections that were open before and are lost, seconds until \
         all are served again\n"
    )?;
    let mut table = table(&[
        "ATTACK",
        "FIREWALL",
        ">FRAMES/S",
        ">DURING",
        ">AFTER",
        ">LOST",
        ">NORMAL",
    ]);
    for row in rows {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        table.add_row([
            row.attack.to_owned(),
            row.firewall.name().to_owned(),
            row.rate.to_string(),
            percent(row.during),
            percent(row.after),
            format!("{} of {}", row.lost, row.live),
            row.normal
                .map_or_else(|| "not seen".to_owned(), |time| format!("{time:.1} s")),
        ]);
    }
    write!(f, "{}", lines(&table))
}

/// Has a connection carry a byte there and back.
fn carry(mut stream: &TcpStream, patience: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

fn rules(table: u32) -> String {
    format!(
        "limits: {{ flow_table_size: {table} }}\n\
         security_groups:\n  server:\n    inbound:\n    \
         - {{ type: All traffic, source: 198.18.0.0/15 }}\n    \
         - {{ type: All traffic, source: 10.99.0.0/24 }}\n    outbound: []\n  \
         tenant:\n    inbound: []\n    \
         outbound: [{{ type: All traffic, destination: 0.0.0.0/0 }}]\n\
         interfaces: {{ eth0: {{ groups: [server], log: 'off', tcp_pickup: never }}, \
         tenant: {{ groups: [tenant], log: 'off' }} }}\n"
    )
}

/// The same rules.
const NFT: &str = "table inet sg {
    chain in { type filter hook input priority 0; policy drop;
        ct state established,related accept
        ip saddr { 198.18.0.0/15, 10.99.0.0/24 } ct state new accept
    }
    chain forward { type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname \"tenant\" ct state new accept
    }
    chain out { type filter hook output priority 0; policy drop;
        ct state established,related accept
    }
}
";
