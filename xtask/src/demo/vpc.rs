//! `cargo xtask demo vpc`: three hosts, three nodes of etcd, and not one address in the rules.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use console::{Alignment, pad_str, style};

use super::{
    heading,
    host::Attempt,
    network::{DIRECTORY, Host, Network, output},
    story::Fate,
};
use crate::{progress::Step, root};

/// What the demo works with.
pub(crate) struct VpcDemoArgs {
    /// The program to show.
    pub(crate) sg_ctl: PathBuf,
    /// Where `etcd` is; on the `PATH` without.
    pub(crate) etcd: Option<PathBuf>,
}

const fn host(name: &'static str, title: &'static str, network: u8, ports: &'static [u16]) -> Host {
    Host {
        name,
        title,
        address: Ipv4Addr::new(10, 7, network, 10),
        ports,
        group: None,
    }
}

static DATABASE: Host = host("db", "database", 1, &[MYSQL]);
static FIRST: Host = host("app-1", "app server 1", 2, &[]);
static SECOND: Host = host("app-2", "app server 2", 3, &[]);
static NODES: [Host; 3] = [
    host("etcd-1", "etcd 1", 11, &[]),
    host("etcd-2", "etcd 2", 12, &[]),
    host("etcd-3", "etcd 3", 13, &[]),
];

const MYSQL: u16 = 3306;

/// How long anything may take that does happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// All hosts.
pub(super) fn hosts() -> Vec<&'static Host> {
    [&DATABASE, &FIRST, &SECOND]
        .into_iter()
        .chain(&NODES)
        .collect()
}

/// One thing that happens, and a connection to the database after it.
struct Scene {
    what: &'static str,
    from: &'static Host,
    expected: Fate,
    because: &'static str,
    seen: Attempt,
    after: Duration,
}

/// Runs the demo, as root.
pub(crate) fn run(arguments: &VpcDemoArgs) -> Result<()> {
    let sg_ctl = fs::canonicalize(&arguments.sg_ctl)
        .with_context(|| format!("cannot find {}", arguments.sg_ctl.display()))?;
    let step = Step::start(
        "network",
        "a router, three hosts and three nodes in namespaces",
    );
    let _network = Network::build(&hosts())?;
    step.done("up");
    let mut stage = Stage {
        sg_ctl,
        etcd: Vec::new(),
        agents: Vec::new(),
    };
    let step = Step::start("etcd", "three nodes");
    stage.start_etcd(arguments.etcd.as_deref())?;
    step.done("one cluster");
    let scenes = stage.play()?;
    println!();
    table(&scenes);
    for words in [["show", "members"], ["show", "hosts"], ["vpc", "status"]] {
        heading(&format!(
            "`sg-ctl {} {}` on the {}:",
            words[0], words[1], DATABASE.title
        ));
        print!("{}", output(DATABASE.command(&stage.sg_ctl).args(words))?);
    }
    println!();
    conclude(&scenes)
}

struct Stage {
    sg_ctl: PathBuf,
    etcd: Vec<Child>,
    agents: Vec<Child>,
}

impl Stage {
    fn start_etcd(&mut self, directory: Option<&Path>) -> Result<()> {
        let program = directory.map_or_else(|| "etcd".into(), |directory| directory.join("etcd"));
        let peer = |host: &Host| format!("{}=http://{}:2380", host.name, host.address);
        let cluster = NODES.iter().map(peer).collect::<Vec<_>>().join(",");
        for node in &NODES {
            let [client, peer] = [2379, 2380].map(|port| format!("http://{}:{port}", node.address));
            let child = node
                .command(&program)
                .args(["--name", node.name, "--data-dir"])
                .arg(Path::new(DIRECTORY).join(node.name))
                .args([
                    "--listen-client-urls",
                    &client,
                    "--advertise-client-urls",
                    &client,
                ])
                .args([
                    "--listen-peer-urls",
                    &peer,
                    "--initial-advertise-peer-urls",
                    &peer,
                ])
                .args([
                    "--initial-cluster",
                    &cluster,
                    "--logger",
                    "zap",
                    "--log-level",
                    "error",
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot run {}", program.display()))?;
            self.etcd.push(child);
        }
        Ok(())
    }

    /// Makes a host one of the VPC, by the one command that it takes.
    fn join(&mut self, host: &'static Host) -> Result<()> {
        let url = |node: &Host| format!("http://{}:2379", node.address);
        let endpoints = NODES.iter().map(url).collect::<Vec<_>>().join(",");
        let begin = Instant::now();
        loop {
            let mut join = host.command(&self.sg_ctl);
            join.args([
                "vpc", "join", "--vpc", "demo", "--host", host.name, "--etcd", &endpoints,
            ]);
            match output(&mut join) {
                Ok(_) => break,
                // A cluster that has just begun chooses its leader first.
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
        // A service, elsewhere.
        let agent = host
            .command(&self.sg_ctl)
            .arg("agent")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the agent")?;
        self.agents.push(agent);
        Ok(())
    }

    fn play(&mut self) -> Result<Vec<Scene>> {
        let step = Step::start(DATABASE.title, "joining, and putting rules into the VPC");
        self.join(&DATABASE)?;
        let rules = root().join("examples/vpc/groups.yaml");
        let wait = ["--wait", "30s"];
        output(
            DATABASE
                .command(&self.sg_ctl)
                .args(["apply", "-f"])
                .arg(rules)
                .args(wait),
        )?;
        wait_until_guarded(&self.sg_ctl, &DATABASE)?;
        step.done("enforced");
        let mut scenes = vec![scene(
            "nobody has joined but the database",
            &FIRST,
            Fate::Deny,
            "nobody carries our-learning-sg-https",
        )?];
        let step = Step::start(FIRST.title, "joining");
        self.join(&FIRST)?;
        scenes.push(scene(
            "app server 1 joins: `sg-ctl vpc join`",
            &FIRST,
            Fate::Allow,
            "our-learning-sg-mysql admits our-learning-sg-https; nobody wrote an address",
        )?);
        step.done("a member");
        let step = Step::start(NODES[0].title, "kill -9");
        self.etcd[0].kill().context("cannot kill etcd")?;
        self.etcd[0].wait().context("cannot wait for etcd")?;
        step.done("killed");
        scenes.push(scene(
            "a node of etcd is killed",
            &FIRST,
            Fate::Allow,
            "what the kernel enforces needs no etcd",
        )?);
        let step = Step::start(SECOND.title, "joining");
        self.join(&SECOND)?;
        scenes.push(scene(
            "app server 2 joins meanwhile",
            &SECOND,
            Fate::Allow,
            "two of three nodes are a majority",
        )?);
        step.done("a member");
        let step = Step::start(FIRST.title, "leaving");
        output(FIRST.command(&self.sg_ctl).args(["vpc", "leave"]))?;
        scenes.push(scene(
            "app server 1 leaves: `sg-ctl vpc leave`",
            &FIRST,
            Fate::Deny,
            "it is a member no more",
        )?);
        step.done("no member");
        scenes.push(scene(
            "and app server 2",
            &SECOND,
            Fate::Allow,
            "still is one",
        )?);
        Ok(scenes)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.agents.iter_mut().chain(&mut self.etcd) {
            // It may have ended; what it has pinned goes with the network.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_until_guarded(sg_ctl: &Path, host: &Host) -> Result<()> {
    let begin = Instant::now();
    loop {
        let status = host.command(sg_ctl).args(["status", "--json"]).output();
        let status = status.context("cannot run sg-ctl")?;
        if String::from_utf8_lossy(&status.stdout).contains("\"enforcing\"") {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("the {} is not guarded", host.title);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Tries to reach the database until what is expected happens, or does not in all that time.
fn scene(
    what: &'static str,
    from: &'static Host,
    expected: Fate,
    because: &'static str,
) -> Result<Scene> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let peer = format!("{}:{MYSQL}", DATABASE.address);
    let begin = Instant::now();
    loop {
        let after = begin.elapsed();
        let tried = from
            .command(&this)
            .args(["demo-host", "connect", &peer, "--patience", "500"])
            .output()
            .context("cannot try a connection")?;
        let seen = Attempt::parse(&String::from_utf8_lossy(&tried.stdout));
        if fate(&seen) == Some(expected) || after > PATIENCE {
            return Ok(Scene {
                what,
                from,
                expected,
                because,
                seen,
                after,
            });
        }
    }
}

const fn fate(attempt: &Attempt) -> Option<Fate> {
    match attempt {
        Attempt::Answered(_) => Some(Fate::Allow),
        Attempt::Silence => Some(Fate::Deny),
        Attempt::Failed(_) => None,
    }
}

fn table(scenes: &[Scene]) {
    let titled = |scene: &Scene| format!("{} → {}:{MYSQL}", scene.from.title, DATABASE.title);
    let width = |text: &str| pad_str(text, 42, Alignment::Left, None).into_owned();
    let heading = format!(
        " #  {}{:29}EXPECTED  SEEN   AFTER",
        width("WHAT HAPPENS"),
        "CONNECTION"
    );
    println!("{}", style(heading.trim_end()).bold());
    for (number, scene) in (1..).zip(scenes) {
        let word = |fate: Fate| match fate {
            Fate::Allow => style(format!("{:5}", fate.word())).green(),
            Fate::Deny => style(format!("{:5}", fate.word())).red(),
        };
        let seen = match fate(&scene.seen) {
            Some(fate) if fate == scene.expected => word(fate),
            Some(fate) => style(format!("{:5}", fate.word())).red().reverse(),
            None => style("?    ".to_owned()).red().reverse(),
        };
        println!(
            " {number}  {}{} {}     {seen}  {:.1} s",
            width(scene.what),
            pad_str(&titled(scene), 28, Alignment::Left, None),
            word(scene.expected),
            scene.after.as_secs_f32()
        );
        println!("    {}", style(scene.because).dim());
    }
}

fn conclude(scenes: &[Scene]) -> Result<()> {
    let others: Vec<String> = (1..)
        .zip(scenes)
        .filter(|(_, scene)| fate(&scene.seen) != Some(scene.expected))
        .map(|(number, _): (usize, _)| number.to_string())
        .collect();
    if !others.is_empty() {
        bail!("not as it should be: {}", others.join(", "));
    }
    println!(
        "{}",
        style("Members came and went, and nobody wrote an address.").green()
    );
    Ok(())
}
