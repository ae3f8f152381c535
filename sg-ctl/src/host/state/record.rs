//! What the state knows of a guarded interface.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use sg_policy::model::{Hook, InterfaceSpec, LogMode, Side};

/// A guarded interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRecord {
    /// Its slot in the kernel's tables; beyond the last one while it is gone and has given it back.
    pub zone: u32,
    /// The side that its programs were loaded for.
    pub side: Side,
    /// The ingress hook that was asked for.
    pub hook: Hook,
    /// What the command line said.
    pub overrides: Overrides,
    /// Whether a pattern meant it, and nobody its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_pattern: bool,
    /// Whether what it carries waits to be confirmed: past the deadline, which the kernel has, what
    /// was before is in force.
    #[serde(default)]
    pub unconfirmed: bool,
    /// What the command line said before the change that waits to be confirmed; `None` when it was
    /// not guarded then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Overrides>,
    /// Whether the latest change was not confirmed in time, and is undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
    /// The client whose way in is kept open, whatever the rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_ssh: Option<SshPeer>,
    /// Whether it is cut off, whatever its groups say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated: Option<Isolation>,
}

/// An interface that was detached by hand: it stays so for as long as it is there, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// Its index.
    ifindex: u32,
    /// The boot in which it had that.
    boot: String,
}

impl Detached {
    /// Its index, in the boot in which it was detached.
    pub const fn index(&self) -> u32 {
        self.ifindex
    }

    /// An interface that is there now.
    pub fn now(ifindex: u32) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            ifindex,
            boot: boot.trim().to_owned(),
        }
    }
}

/// What comes back when an interface is no longer cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The client whose way in was kept open before.
    pub keep_ssh: Option<SshPeer>,
}

/// A remote end of an SSH connection to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SshPeer {
    /// Address of the client.
    pub client: IpAddr,
    /// Port of the server.
    pub port: u16,
}

/// What the command line says about an interface; where it says nothing the rule file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// Names of the groups.
    pub groups: Option<Vec<String>>,
    /// The addresses of a workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<BTreeSet<IpAddr>>,
    /// Which side is protected.
    pub side: Option<Side>,
    /// Where to attach.
    pub hook: Option<Hook>,
    /// Judge and log, but drop nothing.
    pub audit: Option<bool>,
    /// Which verdicts are logged.
    pub log: Option<LogMode>,
    /// Flows that the flow table keeps room for.
    pub flow_share: Option<u32>,
}

impl Overrides {
    /// Whether it is to carry no group: the rules before a change that nobody confirmed do not have
    /// those that it carried.
    pub fn name_no_group(&self) -> bool {
        self.groups.as_ref().is_some_and(Vec::is_empty)
    }

    /// What it says something about, by the keys of rule files.
    pub fn keys(&self) -> Vec<&'static str> {
        let none = InterfaceSpec::default();
        let said = self.table(&none, &none).into_iter();
        said.filter_map(|(key, is_said, _)| is_said.then_some(key))
            .collect()
    }

    /// The keys that rules change from one specification to another, and that it keeps from counting.
    pub fn hidden(&self, old: &InterfaceSpec, new: &InterfaceSpec) -> Vec<&'static str> {
        let said = self.table(old, new).into_iter();
        said.filter_map(|(key, _, is_hidden)| is_hidden.then_some(key))
            .collect()
    }

    /// Each key, whether it says something about it, and whether that hides a change.
    fn table(&self, old: &InterfaceSpec, new: &InterfaceSpec) -> [(&'static str, bool, bool); 7] {
        fn row<T: PartialEq>(
            key: &'static str,
            said: Option<&T>,
            [old, new]: [&T; 2],
        ) -> (&'static str, bool, bool) {
            let is_hidden = said.is_some_and(|said| said != new) && old != new;
            (key, said.is_some(), is_hidden)
        }
        let Self {
            groups,
            addresses,
            side,
            hook,
            audit,
            log,
            flow_share,
        } = self;
        let is_stated = addresses.is_some();
        [
            row("groups", groups.as_ref(), [&old.groups, &new.groups]),
            (
                "addresses",
                is_stated,
                is_stated && old.addresses != new.addresses,
            ),
            row("side", side.as_ref(), [&old.side, &new.side]),
            row("hook", hook.as_ref(), [&old.hook, &new.hook]),
            row("audit", audit.as_ref(), [&old.audit, &new.audit]),
            row("log", log.as_ref(), [&old.log, &new.log]),
            row(
                "flow_share",
                flow_share.as_ref().map(|_| flow_share),
                [&old.flow_share, &new.flow_share],
            ),
        ]
    }

    /// How the interface is to be guarded, by a rule file and the command line together.
    pub fn over(&self, spec: Option<&InterfaceSpec>) -> InterfaceSpec {
        let spec = spec.cloned().unwrap_or_default();
        InterfaceSpec {
            groups: self.groups.clone().unwrap_or(spec.groups),
            side: self.side.unwrap_or(spec.side),
            hook: self.hook.unwrap_or(spec.hook),
            audit: self.audit.unwrap_or(spec.audit),
            log: self.log.unwrap_or(spec.log),
            flow_share: self.flow_share.or(spec.flow_share),
            ..spec
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rules_change_in_vain_is_told() {
        let spec = |groups: &[&str], audit| InterfaceSpec {
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
            audit,
            ..InterfaceSpec::default()
        };
        let overrides = Overrides {
            groups: Some(vec!["web".to_owned()]),
            audit: Some(false),
            ..Overrides::default()
        };
        assert_eq!(overrides.keys(), ["groups", "audit"]);
        let hidden =
            |old: &InterfaceSpec, new: &InterfaceSpec| overrides.hidden(old, new).join(" ");
        let (web, locked) = (spec(&["web"], false), spec(&["locked"], true));
        let none = InterfaceSpec::default();
        assert_eq!(hidden(&none, &locked), "groups audit");
        assert_eq!(hidden(&web, &locked), "groups audit");
        // What was told before, and what comes to the same.
        assert_eq!(hidden(&locked, &locked), "");
        assert_eq!(hidden(&locked, &web), "");
        assert_eq!(Overrides::default().hidden(&none, &locked), [""; 0]);
    }

    #[test]
    fn the_command_line_wins_over_the_rule_file() {
        let file = InterfaceSpec {
            groups: vec!["web".to_owned()],
            audit: true,
            log: LogMode::Off,
            ..InterfaceSpec::default()
        };
        assert_eq!(Overrides::default().over(Some(&file)), file);
        assert_eq!(Overrides::default().over(None), InterfaceSpec::default());
        let overrides = Overrides {
            groups: Some(vec!["db".to_owned()]),
            audit: Some(false),
            ..Overrides::default()
        };
        let both = overrides.over(Some(&file));
        assert_eq!(both.groups, ["db"]);
        assert_eq!((both.audit, both.log), (false, LogMode::Off));
    }
}
