//! The tour: what is said, what is typed, and what must come of it.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use super::stage::{Chat, Stage};
use crate::{
    demo::network::{APP, CLIENT, OUTSIDE, output},
    root,
};

/// The rules that the walk begins with.
const RULES: &str = r#"security_groups:
  shop:
    description: front end of the shop
    inbound:
      - { type: HTTPS, source: anywhere-ipv4, description: customers }
      - { type: SSH, source: "pl:office", description: administration }
    outbound:
      - { type: MySQL/Aurora, destination: "sg:database", description: orders }
  database: {}
prefix_lists:
  office: [203.0.113.0/24]
members:
  database: [10.0.2.10]
interfaces:
  eth0: { groups: [shop], log: all }
"#;

/// The same with mistakes.
const MISTAKES: &str = "\
security_groups:
  shop:
    inbound:
      - { type: HTPS, source: anywhere-ipv4 }
      - { protocol: tcp, ports: 22, source: 203.0.113.7/24 }
";

/// Expectations about the rules.
const CASES: &str = "\
rules: [shop.yaml]
cases:
  - name: customers reach the shop
    interface: eth0
    inbound: tcp 198.51.100.10 443
    expect: allow
  - name: customers do not log in
    interface: eth0
    inbound: tcp 198.51.100.10 22
    expect: deny
    reason: no-rule
  - name: orders reach the database
    interface: eth0
    outbound: tcp 10.0.2.10:3306
    expect: allow
";

/// Walks from beginning to end.
///
/// # Errors
/// When something does not happen as it is told.
pub(super) fn all(stage: &mut Stage) -> Result<()> {
    introduction(stage)?;
    rules(stage)?;
    let mut session = look(stage)?;
    enforce(stage, &mut session)?;
    denials(stage)?;
    changes(stage)?;
    flows(stage, &mut session)?;
    replay(stage)?;
    import(stage)?;
    cases(stage)?;
    isolation(stage)?;
    end(stage)
}

fn introduction(stage: &mut Stage) -> Result<()> {
    stage.file("shop.yaml", RULES)?;
    stage.file("mistakes.yaml", MISTAKES)?;
    stage.file("shop.cases.yaml", CASES)?;
    let groups = root().join("examples/aws/describe-security-groups.json");
    let groups =
        fs::read_to_string(&groups).with_context(|| format!("cannot read {}", groups.display()))?;
    stage.file("groups.json", &groups)?;
    stage.say(
        "# A walk through sg-ctl

This page was written by `cargo xtask tour`, which ran every command on it, put down what was printed, and failed if anything went differently than the text says.
Times of day, durations and the clients' ports are replaced, so that two walks look alike but for an acknowledgement more or less in the counts.

The walk takes place in the network of `cargo xtask demo`, in namespaces:

```text
       client ──┐            ┌── database
 198.51.100.10  ├── router ──┤    10.0.2.10
          app ──┘            └── outside
    10.0.1.10                     203.0.113.80
```

`app` is the host to guard: it serves a shop on ports 443 and 80, and a line-by-line echo on port 22 stands for SSH.
`connect` asks for a greeting and waits 0.8 s for it; `chat` keeps its connection, sends what is typed and prints what comes back within a second.",
    );
    Ok(())
}

fn rules(stage: &mut Stage) -> Result<()> {
    stage.say("## Rules\n\nA group only allows. `check` shows what the rules of an interface come to, or every mistake with its place and remedy; it touches nothing.");
    stage.terminal(|stage| {
        stage.run(&APP, "cat shop.yaml", "pl:office")?;
        stage.run(&APP, "sg-ctl check shop.yaml", "pl:office")?;
        stage.run(
            &APP,
            "sg-ctl check mistakes.yaml; echo \"exit status $?\"",
            "exit status 1",
        )
    })
}

fn look(stage: &mut Stage) -> Result<Chat> {
    stage.say("## Look first\n\nSomebody of the office is logged in before anything is guarded.");
    let mut session = stage.terminal(|stage| {
        let mut session = stage.chat(&OUTSIDE, "10.0.1.10:22")?;
        stage.type_to(&mut session, "good morning", "good morning")?;
        Ok(session)
    })?;
    stage.say(
        "With `--audit` packets are judged and logged, and all pass.
The connection that is there is found, and goes on.",
    );
    stage.terminal(|stage| {
        stage.run(&APP, "sg-ctl attach eth0 -f shop.yaml --audit", "eth0")?;
        stage.run(&CLIENT, "connect 10.0.1.10:443", "hello")?;
        stage.run(&CLIENT, "connect 10.0.1.10:80", "hello")?;
        stage.run(&APP, "sg-ctl logs --denied | grep SYN", "AUDIT-DENY")?;
        stage.run(&APP, "sg-ctl status", "auditing")?;
        stage.type_to(&mut session, "still there", "still there")
    })?;
    Ok(session)
}

fn enforce(stage: &mut Stage, session: &mut Chat) -> Result<()> {
    stage.say(
        "## Enforce, with a way back

Past the deadline the kernel only audits, unless somebody still gets in to confirm.",
    );
    stage.terminal(|stage| {
        stage.run(
            &APP,
            "sg-ctl mode eth0 enforce --confirm-within 60s",
            "confirm",
        )?;
        stage.type_to(session, "nobody is locked out", "nobody is locked out")?;
        stage.run(&APP, "sg-ctl confirm", "eth0")
    })
}

fn denials(stage: &mut Stage) -> Result<()> {
    stage.say(
        "## Three denials, explained

Two visitors knock where they may not, and the shop itself calls a server on the internet.",
    );
    stage.terminal(|stage| {
        stage.run(&CLIENT, "connect 10.0.1.10:80", "silence")?;
        stage.run(&CLIENT, "connect 10.0.1.10:22", "silence")?;
        stage.run(&APP, "connect 203.0.113.80:443", "silence")?;
        stage.run(
            &APP,
            "sg-ctl logs --denied | tee denied.log",
            "outbound DENY",
        )
    })?;
    stage.say("A rule for the source, but not for the port:");
    let explain = |line: u8| format!("sg-ctl explain --log \"$(sed -n {line}p denied.log)\"");
    stage.terminal(|stage| stage.run(&APP, &explain(1), "80 is not 443"))?;
    stage.say("A rule for the port, but not for the source:");
    stage.terminal(|stage| stage.run(&APP, &explain(2), "port matches"))?;
    stage.say("And nothing of what leaves comes near:");
    stage.terminal(|stage| stage.run(&APP, &explain(3), "none of 1 outbound rules"))
}

fn changes(stage: &mut Stage) -> Result<()> {
    stage.say("## Change the rules\n\nPort 80 is wanted after all. First what would change, then the change: from one packet to the next the new rules hold.");
    stage.terminal(|stage| {
        let rule = "- { type: HTTP, source: anywhere-ipv4, description: redirected }";
        let edit = format!("sed -i '/type: HTTPS/a\\      {rule}' shop.yaml");
        stage.run(&APP, &edit, "")?;
        stage.run(
            &APP,
            "sg-ctl apply --dry-run -f shop.yaml; echo \"exit status $?\"",
            "exit status 3",
        )?;
        stage.run(&APP, "sg-ctl apply -f shop.yaml", "eth0")?;
        stage.run(&CLIENT, "connect 10.0.1.10:80", "hello")
    })?;
    stage.say("Which rules does anybody need? The administrator's connection was there before the rules, and belongs to none.");
    stage.terminal(|stage| {
        stage.run(&APP, "sg-ctl show rules --counters", "never")?;
        stage.run(&APP, "sg-ctl show rules --never-hit", "3306")
    })
}

fn flows(stage: &mut Stage, session: &mut Chat) -> Result<()> {
    stage.say("## Flows outlive their rules\n\nThe administrator's connection is a flow; the rule that would admit it anew goes away. The flow does not, as on AWS, until it is ended.");
    stage.terminal(|stage| {
        stage.run(&APP, "sg-ctl flows --remote 203.0.113.80", "203.0.113.80")?;
        stage.run(
            &APP,
            "sed -i '/type: SSH/d' shop.yaml && sg-ctl apply -f shop.yaml",
            "eth0",
        )?;
        stage.type_to(session, "am I still in?", "am I still in?")?;
        stage.run(&APP, "sg-ctl flows kill --remote 203.0.113.80", "1")?;
        stage.type_to(session, "and now?", "silence")
    })?;
    stage.say("That was a mistake, so back to the rules before it:");
    stage.terminal(|stage| stage.run(&APP, "sg-ctl rollback", "eth0"))
}

fn replay(stage: &mut Stage) -> Result<()> {
    stage.say("## What would other rules have done?\n\nA capture of real traffic is judged by the same programs in the kernel, under rules that are nowhere in force: here those without port 80.");
    stage.terminal(|stage| {
        let capture = "tcpdump --immediate-mode -Z root -U -i eth0 -w eth0.pcap tcp";
        stage.type_in(&APP, &format!("{capture} 2> /dev/null &"));
        let pid = stage.start(&APP, capture, |directory| {
            fs::metadata(directory.join("eth0.pcap")).is_ok_and(|file| file.len() > 0)
        })?;
        stage.run(&CLIENT, "connect 10.0.1.10:443", "hello")?;
        stage.run(&CLIENT, "connect 10.0.1.10:80", "hello")?;
        stage.run(&APP, "connect 10.0.2.10:3306", "hello")?;
        stage.type_in(&APP, "kill -INT %1");
        output(Command::new("kill").args(["-INT", &pid.to_string()]))?;
        stage.wait(pid)?;
        stage.run(&APP, "sed '/type: HTTP,/d' shop.yaml > strict.yaml", "")?;
        stage.run(
            &APP,
            "sg-ctl replay eth0.pcap -f strict.yaml -i eth0 --local 10.0.1.10 --summary",
            "no-rule",
        )
    })
}

fn import(stage: &mut Stage) -> Result<()> {
    stage.say("## Rules from AWS\n\nWhat `aws ec2 describe-security-groups` prints becomes a rule file; what cannot be carried over is said.");
    stage.terminal(|stage| {
        stage.run(
            &APP,
            "sg-ctl import groups.json -o imported.yaml",
            "pl-3b927c52",
        )?;
        stage.run(&APP, "cat imported.yaml", "shop-alb")
    })?;
    stage.say("Nothing of that is in force. Would it let the load balancer reach the database?");
    stage.terminal(|stage| {
        stage.run(
            &APP,
            "sg-ctl explain -f imported.yaml --group shop-db --inbound tcp 10.0.7.7 5432",
            "DENY",
        )
    })
}

fn cases(stage: &mut Stage) -> Result<()> {
    stage.say("## Expectations\n\nWhat the rules are meant to do can be kept beside them, and asked on every change, without privileges.");
    stage.terminal(|stage| {
        stage.run(&APP, "cat shop.cases.yaml", "customers")?;
        stage.run(&APP, "sg-ctl test shop.cases.yaml", "3")
    })
}

fn isolation(stage: &mut Stage) -> Result<()> {
    stage.say("## In case of emergency\n\nA host that may be in others' hands is cut off by one command: no group, and not one live flow.");
    stage.terminal(|stage| {
        stage.run(&APP, "sg-ctl isolate eth0", "eth0")?;
        stage.run(&CLIENT, "connect 10.0.1.10:443", "silence")?;
        stage.run(&APP, "sg-ctl status", "isolated")?;
        stage.run(&APP, "sg-ctl isolate eth0 --release", "eth0")?;
        stage.run(&CLIENT, "connect 10.0.1.10:443", "hello")
    })
}

fn end(stage: &mut Stage) -> Result<()> {
    stage
        .say("## The end\n\n`detach --all` works whatever state it finds; the rules stay on disk.");
    stage.terminal(|stage| {
        stage.run(&APP, "sg-ctl status --counters", "no-rule")?;
        stage.run(&APP, "sg-ctl detach --all", "eth0")?;
        stage.run(&APP, "sg-ctl status", "")
    })
}
