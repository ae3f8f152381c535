//! VPCs: how they are, their hosts and members.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::Changes;
use sg_ctl::vpc::claims::Reason;
use sg_ctl::vpc::follow::{Health, TrialState, unix_seconds};
use sg_ctl::vpc::{HostRow, MemberRow};

use crate::verb::output::change::part_lines;
use crate::verb::output::deadline::DeadlineView;
use crate::verb::output::table::Table;
use crate::verb::output::time::{milliseconds, span};
use crate::verb::output::{self, Tone, counted};

/// How a VPC is, in lines.
pub(crate) struct HealthView<'a>(pub(crate) &'a Health);

/// How long ago a moment was, by this host's clock.
fn since(moment: u64) -> Duration {
    Duration::from_secs(unix_seconds().saturating_sub(moment))
}

impl fmt::Display for HealthView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(health) = self;
        writeln!(f, "vpc {}: this host is {}", health.vpc, health.host)?;
        if health.since == 0 && health.error.is_none() {
            return writeln!(f, "etcd: no agent has followed it yet: `sg-ctl agent`");
        }
        let why = health.error.as_deref().unwrap_or("not known");
        let since = span(since(health.since));
        if health.connected {
            let word = Tone::Good.paint("followed");
            writeln!(f, "etcd: {word} for {since}, by {}", health.endpoint)?;
        } else {
            if health.since == 0 {
                writeln!(f, "etcd: {}: {why}", Tone::Bad.paint("not followed"))?;
            } else {
                writeln!(f, "etcd: {} for {since}: {why}", Tone::Bad.paint("away"))?;
            }
            writeln!(f, "the last policy stays in force")?;
            if let Some(help) = &health.help {
                writeln!(f, "help: {help}")?;
            }
        }
        let (wanted, enforced) = (health.rules_wanted, health.rules_enforced);
        writeln!(
            f,
            "rules: revision {wanted} wanted, {enforced} enforced here"
        )?;
        match health.trial {
            Some(TrialState::Running) => writeln!(
                f,
                "{} they wait to be confirmed: `sg-ctl confirm`",
                Tone::Notable.paint("on trial:")
            )?,
            Some(TrialState::Lapsed) => writeln!(
                f,
                "{} they were not confirmed in time, those before are in force",
                Tone::Notable.paint("undone:")
            )?,
            None => {}
        }
        for text in [&health.rules_refused, &health.unwritten]
            .into_iter()
            .flatten()
        {
            writeln!(f, "{} {text}", Tone::Bad.paint("problem:"))?;
        }
        if health.hosts > 0 {
            let hosts = counted(health.hosts as u64, "host");
            match &health.behind[..] {
                [] => writeln!(f, "hosts: {hosts}, none behind")?,
                behind => writeln!(f, "hosts: {hosts}, behind: {}", behind.join(", "))?,
            }
        }
        if health.lost > 0 {
            let records = counted(health.lost as u64, "record");
            writeln!(
                f,
                "lost: {records} gone without a farewell, members for the time of grace"
            )?;
        }
        for conflict in &health.conflicts {
            let (address, holder, void) = (conflict.address, &conflict.holder, &conflict.void);
            writeln!(
                f,
                "conflict: {address} belongs to {holder}, which claimed it after {void}"
            )?;
        }
        for refused in &health.refused {
            let (place, group) = (&refused.place, &refused.group);
            match refused.reason {
                Reason::NotAssigned => {
                    writeln!(f, "refused: {place} in {group}: the rules do not assign it")?;
                }
                Reason::Outside(address) => {
                    writeln!(
                        f,
                        "refused: {place} in {group}: {address} is not in its `addresses`"
                    )?;
                }
                Reason::TooMany => {
                    writeln!(
                        f,
                        "refused: {place} in {group}: its host claims too many addresses"
                    )?;
                }
            }
        }
        for damaged in &health.damaged {
            writeln!(f, "damaged: {damaged}")?;
        }
        Ok(())
    }
}

/// A host of the VPC.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HostView {
    host: String,
    version: Option<String>,
    rules: Option<u64>,
    behind: bool,
    refused: Option<String>,
    /// Time since it was heard of.
    heard_ms: Option<u64>,
}

impl HostView {
    /// A host, where the newest rules are of this revision.
    pub(crate) fn new(row: HostRow, newest: u64) -> Self {
        let enforced = row.enforced;
        Self {
            host: row.host,
            behind: enforced
                .as_ref()
                .is_none_or(|enforced| enforced.rules < newest),
            rules: enforced.as_ref().map(|enforced| enforced.rules),
            heard_ms: enforced
                .as_ref()
                .map(|enforced| milliseconds(since(enforced.clock))),
            refused: enforced
                .as_ref()
                .and_then(|enforced| enforced.refused.clone()),
            version: enforced.map(|enforced| enforced.version),
        }
    }

    /// The table of hosts.
    pub(crate) fn table(hosts: &[Self]) -> Table {
        let mut table = Table::new(&["HOST", "VERSION", ">RULES", "STATE", "SAID"]);
        for host in hosts {
            let state = match (&host.refused, host.behind) {
                (Some(_), _) => "refused",
                (None, true) => "behind",
                (None, false) => "newest",
            };
            let heard = host.heard_ms.map_or_else(
                || "-".to_owned(),
                |ms| format!("{} ago", span(Duration::from_millis(ms))),
            );
            table.push([
                host.host.clone(),
                host.version.clone().unwrap_or_else(|| "?".to_owned()),
                host.rules
                    .map_or_else(|| "?".to_owned(), |rules| rules.to_string()),
                state.to_owned(),
                heard,
            ]);
        }
        table
    }
}

/// A member of a group of the VPC.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VpcMemberView {
    group: String,
    address: String,
    host: String,
    interface: String,
    since: u64,
    age_ms: u64,
    counts: bool,
}

impl From<MemberRow> for VpcMemberView {
    fn from(row: MemberRow) -> Self {
        Self {
            group: row.group,
            address: row.address.to_string(),
            host: row.place.host,
            interface: row.place.interface,
            since: row.since,
            age_ms: milliseconds(since(row.since)),
            counts: row.counts,
        }
    }
}

impl VpcMemberView {
    /// The table of members.
    pub(crate) fn table(members: &[Self]) -> Table {
        let mut table = Table::new(&["GROUP", "ADDRESS", "HOST", "INTERFACE", "AGE", "COUNTS"]);
        for member in members {
            table.push([
                member.group.clone(),
                member.address.clone(),
                member.host.clone(),
                member.interface.clone(),
                span(Duration::from_millis(member.age_ms)),
                if member.counts { "yes" } else { "no" }.to_owned(),
            ]);
        }
        table
    }
}

/// Answer of `apply` and `rollback` in a VPC.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VpcApplyView {
    /// The VPC.
    pub(crate) vpc: String,
    /// Whether it was done.
    pub(crate) applied: bool,
    /// Whether anything differs.
    pub(crate) changed: bool,
    /// The revision of the rules now.
    pub(crate) revision: u64,
    /// What differs.
    pub(crate) changes: Changes,
    /// When they return to those before; null where they stay.
    pub(crate) deadline: Option<DeadlineView>,
    /// Hosts that do not enforce them in time; null when nobody waited.
    pub(crate) behind: Option<Vec<String>>,
    /// What else the user should know.
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for VpcApplyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.changes.diff {
            writeln!(f, "{}", part_lines(part).join("\n"))?;
        }
        if !self.changed {
            writeln!(f, "nothing differs from the rules before")?;
        }
        let (vpc, revision) = (&self.vpc, self.revision);
        if self.applied {
            writeln!(f, "the rules of the VPC {vpc} are at revision {revision}")?;
        } else {
            writeln!(
                f,
                "dry run: nothing was changed; {vpc} is at revision {revision}"
            )?;
        }
        match self.behind.as_deref() {
            Some([]) => writeln!(f, "every host that is heard of enforces them")?,
            Some(hosts) => writeln!(
                f,
                "{} not enforce them yet: {}",
                do_not(hosts),
                hosts.join(", ")
            )?,
            None => {}
        }
        output::last_line(f, self.deadline.as_ref())
    }
}

fn do_not(hosts: &[String]) -> String {
    let verb = if hosts.len() == 1 { "does" } else { "do" };
    Tone::Bad.paint(format_args!(
        "{} {verb}",
        counted(hosts.len() as u64, "host")
    ))
}
