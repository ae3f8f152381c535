//! The demo's network: four hosts in namespaces of their own around a router.
//!
//! ```text
//!  internet client ──┐            ┌── database
//!   198.51.100.10    ├── router ──┤    10.0.2.10
//!        app server ─┘            └── outside server
//!         10.0.1.10                   203.0.113.80
//! ```
//!
//! Everything has a name that begins with `sg-demo-` or lies below [`DIRECTORY`], so that a demo
//! that was killed can be removed by the next one.

use std::{
    fs::{self, File, TryLockError},
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// What the hosts keep outside their namespaces.
pub(crate) const DIRECTORY: &str = "/run/sg-demo";

/// The hosts' names in `ip netns`, before their own.
const NAMESPACE_PREFIX: &str = "sg-demo-";

const ROUTER: &str = "router";

/// A host of the demo.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Short name: of its namespace, of the router's end of its link, of its directory.
    pub(crate) name: &'static str,
    /// The name in tables.
    pub(crate) title: &'static str,
    /// Its address; the network is a /24 with the router at .1.
    pub(crate) address: Ipv4Addr,
    /// TCP ports that it answers on.
    pub(crate) ports: &'static [u16],
    /// The group that its interface carries.
    pub(crate) group: Option<&'static str>,
}

/// The router, as a host that guards the links of others.
pub(crate) const ROUTER_HOST: Host = Host {
    name: ROUTER,
    title: "router",
    address: Ipv4Addr::LOCALHOST,
    ports: &[],
    group: None,
};
/// Somewhere on the internet.
pub(crate) const CLIENT: Host = Host {
    name: "client",
    title: "internet client",
    address: Ipv4Addr::new(198, 51, 100, 10),
    ports: &[],
    group: None,
};
/// The app server.
pub(crate) const APP: Host = Host {
    name: "app",
    title: "app server",
    address: Ipv4Addr::new(10, 0, 1, 10),
    ports: &[80, 443],
    group: Some("our-learning-sg-https"),
};
/// The database server.
pub(crate) const DATABASE: Host = Host {
    name: "database",
    title: "database",
    address: Ipv4Addr::new(10, 0, 2, 10),
    ports: &[3306],
    group: Some("our-learning-sg-mysql"),
};
/// A server of somebody else.
pub(crate) const OUTSIDE: Host = Host {
    name: "outside",
    title: "outside server",
    address: Ipv4Addr::new(203, 0, 113, 80),
    ports: &[443],
    group: None,
};
/// All of them.
pub(crate) const HOSTS: [&Host; 4] = [&CLIENT, &APP, &DATABASE, &OUTSIDE];

impl Host {
    /// The name of its namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("{NAMESPACE_PREFIX}{}", self.name)
    }

    /// A command line that runs `program` on this host.
    ///
    /// `ip netns exec` would do but for `/sys`, which it replaces, and the pins with it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace()))
            .arg("--")
            .arg(program)
            .env("SG_STATE_DIR", self.state_dir())
            .env("SG_PIN_DIR", self.pin_dir())
            .stdin(Stdio::null());
        command
    }

    /// Where sg-ctl keeps what this host should enforce.
    pub(crate) fn state_dir(&self) -> PathBuf {
        Path::new(DIRECTORY).join(self.name)
    }

    /// Where sg-ctl pins this host's programs and maps.
    pub(crate) fn pin_dir(&self) -> PathBuf {
        bpf_fs().join(self.name)
    }
}

/// A BPF file system of the demo's own: unmounting it removes every pin.
fn bpf_fs() -> PathBuf {
    Path::new(DIRECTORY).join("bpf")
}

/// The network, removed when dropped unless it is [kept](Self::keep).
pub(crate) struct Network {
    servers: Vec<Child>,
    kept: bool,
    /// [`DIRECTORY`], locked: another demo must not take this network for one left behind.
    _lock: File,
}

impl Network {
    /// Builds it and starts the servers.
    ///
    /// # Errors
    /// When a program fails, another demo runs, or there is a network that was kept.
    pub(crate) fn build(hosts: &[&'static Host]) -> Result<Self> {
        if kept_marker().exists() {
            bail!(
                "a network of an earlier demo was kept\nhelp: remove it: cargo xtask demo --clean"
            );
        }
        if Path::new(DIRECTORY).exists() {
            // Left by a demo that was killed, unless its lock is held.
            lock()?;
            remove()?;
        }
        fs::create_dir(DIRECTORY).with_context(|| format!("cannot create {DIRECTORY}"))?;
        let mut network = Self {
            servers: Vec::new(),
            kept: false,
            _lock: lock()?,
        };
        fs::create_dir(bpf_fs()).context("cannot create a mount point")?;
        run(Command::new("mount")
            .args(["-t", "bpf", "-o", "mode=0700", "bpf"])
            .arg(bpf_fs()))?;
        let router = format!("{NAMESPACE_PREFIX}{ROUTER}");
        add_namespace(&router)?;
        // No IPv6 here: its chatter would only fill the log.
        for host in hosts {
            add_namespace(&host.namespace())?;
            let [a, b, c, _] = host.address.octets();
            let (name, namespace) = (host.name, host.namespace());
            ip(
                &router,
                &format!(
                    "link add {name} type veth peer name eth0 netns {namespace}
                     address add {a}.{b}.{c}.1/24 dev {name}
                     link set {name} up\n"
                ),
            )?;
            ip(
                &namespace,
                &format!(
                    "link set lo up
                     address add {}/24 dev eth0
                     link set eth0 up
                     route add default via {a}.{b}.{c}.1\n",
                    host.address
                ),
            )?;
        }
        ip(&router, "link set lo up\n")?;
        set(&router, "net/ipv4/ip_forward", "1")?;
        for host in hosts.iter().filter(|host| !host.ports.is_empty()) {
            network.servers.push(serve(host)?);
        }
        Ok(network)
    }

    /// Leaves it in place.
    ///
    /// # Errors
    /// When that cannot be noted down for the next demo.
    pub(crate) fn keep(mut self) -> Result<()> {
        self.kept = true;
        fs::write(kept_marker(), "").context("cannot mark the network as kept")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = remove() {
            eprintln!("cannot clean up: {error:#}\nhelp: cargo xtask demo --clean");
        }
        for server in &mut self.servers {
            // Killed with its namespace.
            let _ = server.wait();
        }
    }
}

fn lock() -> Result<File> {
    let directory = File::open(DIRECTORY).with_context(|| format!("cannot open {DIRECTORY}"))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => bail!("another demo is running"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {DIRECTORY}"))
        }
    }
}

fn kept_marker() -> PathBuf {
    Path::new(DIRECTORY).join("kept")
}

/// Removes the network, whoever built it; what is gone is gone.
///
/// # Errors
/// When something is there and stays.
pub(crate) fn remove() -> Result<()> {
    let hosts = HOSTS.into_iter().chain(super::vpc::hosts());
    let names: Vec<_> = hosts.map(|host| host.name).collect();
    for name in names.into_iter().chain([ROUTER]) {
        let namespace = format!("{NAMESPACE_PREFIX}{name}");
        if !Path::new("/run/netns").join(&namespace).exists() {
            continue;
        }
        let pids = output(Command::new("ip").args(["netns", "pids", &namespace]))?;
        let pids: Vec<&str> = pids.split_whitespace().collect();
        if !pids.is_empty() {
            // One that has ended meanwhile makes `kill` fail, and that is fine.
            let _ = Command::new("kill")
                .arg("-9")
                .args(pids)
                .stderr(Stdio::null())
                .status();
        }
        run(Command::new("ip").args(["netns", "delete", &namespace]))?;
    }
    if bpf_fs().exists() {
        // Fails when a demo was killed before it mounted anything.
        let _ = Command::new("umount")
            .arg(bpf_fs())
            .stderr(Stdio::null())
            .status();
    }
    match fs::remove_dir_all(DIRECTORY) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {DIRECTORY}"))
        }
        _ => Ok(()),
    }
}

fn add_namespace(name: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "add", name]))?;
    set(name, "net/ipv6/conf/all/disable_ipv6", "1")
}

/// Runs lines of `ip` commands in a namespace.
fn ip(namespace: &str, batch: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["-netns", namespace, "-batch", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run `ip`")?;
    let mut stdin = child.stdin.take().context("`ip` has no input")?;
    stdin
        .write_all(batch.as_bytes())
        .context("cannot write to `ip`")?;
    drop(stdin);
    let output = child.wait_with_output().context("cannot wait for `ip`")?;
    if !output.status.success() {
        bail!(
            "`ip` refused: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Sets a kernel parameter of a namespace.
fn set(namespace: &str, name: &str, value: &str) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}"));
    // Written by a program inside: /proc/sys/net shows each process its own namespace.
    command.args(["sh", "-c", &format!("echo {value} > /proc/sys/{name}")]);
    run(&mut command)
}

/// Starts the servers of a host and waits until they listen.
fn serve(host: &Host) -> Result<Child> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let ports = host.ports.iter().map(ToString::to_string);
    let mut child = host
        .command(&this)
        .args(["demo-host", "serve", host.title])
        .args(ports)
        .stdout(Stdio::piped())
        // It may outlive the demo, and must not keep a pipe open that the demo writes to.
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a server")?;
    let stdout = child.stdout.take().context("the server has no output")?;
    let mut ready = String::new();
    BufReader::new(stdout)
        .read_line(&mut ready)
        .context("cannot read from the server")?;
    if ready.is_empty() {
        bail!("the servers of {} do not start", host.title);
    }
    Ok(child)
}

/// Runs a program out of sight.
fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a program and returns what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = crate::cargo::display(command);
    let output = command
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
