//! What the figures should be, and whether they are.

use serde::Serialize;

use super::{
    amount,
    control::{ChangeRow, Control},
    report::{CostRow, Sample},
    veth::{Firewall, VethRow, attack::AttackRow, flood::FloodRow},
};

/// A figure that was aimed at.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// Of what.
    pub what: &'static str,
    /// The most, or the least, that it should be.
    pub aim: f64,
    /// Whether more is better.
    pub more: bool,
    /// What it is called.
    pub unit: &'static str,
    /// What it is; none = not measured.
    pub measured: Option<f64>,
}

impl Target {
    /// At most `aim`.
    fn most(what: &'static str, aim: f64, unit: &'static str, measured: Option<f64>) -> Self {
        Self {
            what,
            aim,
            more: false,
            unit,
            measured,
        }
    }

    /// Whether the figure is as good as was aimed at.
    pub fn is_met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(if self.more {
            measured >= self.aim
        } else {
            measured <= self.aim
        })
    }

    /// The cells of its row; of a run that is not `reliable` nothing is claimed.
    pub(crate) fn cells(&self, reliable: bool) -> [String; 4] {
        let figure = |figure: f64| match self.unit {
            "" => format!("{figure:.2}"),
            unit => format!("{figure:.0} {unit}"),
        };
        let sign = if self.more { '≥' } else { '≤' };
        [
            self.what.to_owned(),
            format!("{sign} {}", figure(self.aim)),
            self.measured.map_or_else(|| "-".to_owned(), figure),
            match self.is_met() {
                Some(_) if !reliable => "unreliable",
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "not measured",
            }
            .to_owned(),
        ]
    }
}

/// The targets of what programs cost.
pub fn of_cost(rows: &[CostRow]) -> Vec<Target> {
    let sample = |scene: &str, name: &str| -> Option<Sample> {
        let row = rows
            .iter()
            .find(|row| row.scene == scene && row.name == name);
        row?.quiet
    };
    let min = |scene, name| Some(sample(scene, name)?.min);
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    let hot = "established, the same flow";
    let many = "established, random of 1000000 flows";
    let random = "IPv4, random sources, XDP";
    let new = "new allowed flow, 1000 CIDRs";
    let varying = sample("without a filter", "another remote end, XDP");
    let opened = sample(new, "IPv4 TCP, XDP");
    vec![
        Target::most(
            "established IPv4 packet, same flow, XDP",
            45.0,
            "ns",
            min(hot, "IPv4 TCP, XDP"),
        ),
        Target::most(
            "established IPv6 packet, same flow, XDP",
            55.0,
            "ns",
            min(hot, "IPv6 TCP, XDP"),
        ),
        Target::most(
            "packet of one of 1 M flows / the same on an LRU hash",
            1.0 / 3.0,
            "",
            ratio(
                min(many, "IPv4 TCP, XDP"),
                min(many, "IPv4 TCP, XDP, kernel's LRU hash"),
            ),
        ),
        Target::most(
            "denied, 1 000 CIDRs, random sources",
            60.0,
            "ns",
            min("denied, 1000 CIDRs", random),
        ),
        Target::most(
            "denied, 100 000 CIDRs / 1 000 CIDRs",
            2.0,
            "",
            ratio(
                min("denied, 100000 CIDRs", random),
                min("denied, 1000 CIDRs", random),
            ),
        ),
        Target::most(
            "new allowed flow, less the programs that vary the frame",
            450.0,
            "ns",
            opened
                .zip(varying)
                .map(|(opened, varying)| opened.min - varying.min),
        ),
    ]
}

/// The targets of packets between namespaces.
pub fn of_veth(rows: &[VethRow]) -> Vec<Target> {
    let row = |firewall| rows.iter().find(|row| row.firewall == firewall);
    let established = |firewall| Some(row(firewall)?.established);
    let bulk = |firewall| row(firewall)?.bulk;
    let added = |firewall, floor| Some(established(firewall)? - established(floor)?);
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    vec![
        Target::most(
            "CPU added to an established packet over veth / by nftables",
            0.25,
            "",
            ratio(
                added(Firewall::Sg, Firewall::Empty),
                added(Firewall::Nftables, Firewall::None),
            ),
        ),
        Target {
            more: true,
            ..Target::most(
                "bulk TCP over veth, --hook auto / no firewall",
                0.95,
                "",
                ratio(bulk(Firewall::Sg), bulk(Firewall::None)),
            )
        },
    ]
}

/// The targets of floods.
pub fn of_flood(rows: &[FloodRow]) -> Vec<Target> {
    let row = rows.iter().find(|row| row.firewall == Firewall::Sg);
    let most = |what, aim, measured| Target::most(what, aim, "", measured);
    vec![
        most(
            "established packet in a flood of new flows / before it",
            2.0,
            row.map(|row| row.during / row.before),
        ),
        most(
            "established flows lost in a flood of new flows",
            0.0,
            row.map(|row| f64::from(row.lost)),
        ),
    ]
}

/// The targets of attacks, each by the worst of them.
pub fn of_attacks(rows: &[AttackRow]) -> Vec<Target> {
    let worst = |figure: fn(&AttackRow) -> f64, pick: fn(f64, f64) -> f64| {
        let rows = rows.iter().filter(|row| row.firewall == Firewall::Sg);
        rows.map(figure).reduce(pick)
    };
    let least = |what, figure| Target {
        more: true,
        ..Target::most(what, 0.99, "", worst(figure, f64::min))
    };
    vec![
        least("new connections served during any attack", |row| row.during),
        least("new connections served after any attack", |row| row.after),
        Target::most(
            "live connections lost to any attack",
            0.0,
            "",
            worst(|row| row.lost.into(), f64::max),
        ),
        Target::most(
            "until all are served again, after any attack",
            2.0,
            "s",
            worst(|row| row.normal.unwrap_or(f64::INFINITY), f64::max),
        ),
    ]
}

/// The targets of changes of rules.
pub fn of_control(control: &Control) -> Vec<Target> {
    let row = |rules, members| -> Option<&ChangeRow> {
        let mut rows = control.changes.iter();
        rows.find(|row| row.amount == amount(1, rules, members))
    };
    let flows = control.flows.iter().find(|row| row.flows == 1_000_000);
    let mut rows = control.interfaces.iter();
    let many = rows.find(|row| row.interfaces == 1_000);
    vec![
        Target::most(
            "10 000 rules and 100 000 members, file to enforced",
            500.0,
            "ms",
            row(10_000, 100_000).and_then(|row| row.apply),
        ),
        Target::most(
            "1 000 000 members, file to enforced",
            3000.0,
            "ms",
            row(0, 1_000_000).and_then(|row| row.apply),
        ),
        Target::most(
            "one member changed among 100 000, file to enforced",
            100.0,
            "ms",
            row(0, 100_000).and_then(|row| row.change),
        ),
        Target::most(
            "ten of a million flows",
            1000.0,
            "ms",
            flows.map(|row| row.top),
        ),
        Target::most("one more interface", 15.0, "ms", many.map(|row| row.second)),
        Target::most(
            "1 000 interfaces restored",
            15_000.0,
            "ms",
            many.map(|row| row.restore),
        ),
        Target::most(
            "memory of a further interface, beside counters",
            64.0,
            "KiB",
            many.map(|row| row.memory),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::control::{FlowsRow, InterfacesRow};
    use super::*;

    #[test]
    fn targets_are_met_on_the_right_side() {
        let target = |more, measured| Target {
            what: "it",
            aim: 1.0,
            more,
            unit: "",
            measured,
        };
        assert_eq!(target(false, Some(0.9)).is_met(), Some(true));
        assert_eq!(target(false, Some(1.1)).is_met(), Some(false));
        assert_eq!(target(true, Some(1.1)).is_met(), Some(true));
        assert_eq!(target(true, Some(0.9)).is_met(), Some(false));
        assert_eq!(target(true, None).is_met(), None);
    }

    #[test]
    fn targets_of_attacks_go_by_the_worst_of_our_own() {
        let row = |firewall, during, normal| AttackRow {
            attack: "it",
            firewall,
            rate: 1,
            during,
            after: 1.0,
            normal,
            live: 9,
            lost: 0,
        };
        let rows = [
            row(Firewall::Sg, 1.0, Some(0.5)),
            row(Firewall::Sg, 0.5, None),
            row(Firewall::Nftables, 0.1, None),
        ];
        let targets = of_attacks(&rows);
        assert_eq!(targets[0].measured, Some(0.5));
        let met: Vec<_> = targets.iter().map(Target::is_met).collect();
        assert_eq!(met, [Some(false), Some(true), Some(true), Some(false)]);
        assert!(
            of_attacks(&[])
                .iter()
                .all(|target| target.is_met().is_none())
        );
    }

    #[test]
    fn every_target_of_control_names_rows_that_are_measured() {
        let scale = super::super::FULL.control;
        let changes = scale.amounts.iter().map(|amount| ChangeRow {
            amount: *amount,
            read: 1.0,
            compile: 1.0,
            apply: Some(1.0),
            change: Some(1.0),
            image: 1,
            kernel: 1,
        });
        let flows = scale.flows.iter().map(|flows| FlowsRow {
            flows: *flows,
            top: 1.0,
            filtered: 1.0,
            all: 1.0,
        });
        let control = Control {
            changes: changes.collect(),
            flows: flows.collect(),
            memory: Vec::new(),
            interfaces: vec![InterfacesRow {
                interfaces: scale.interfaces,
                second: 1.0,
                more: 1.0,
                restore: 1.0,
                empty: 1.0,
                memory: 1.0,
            }],
        };
        for target in of_control(&control) {
            assert!(target.measured.is_some(), "{}", target.what);
        }
    }

    #[test]
    fn every_target_of_cost_names_rows_that_are_measured() {
        let scenes = super::super::scenes::scenes(&super::super::FULL);
        let rows: Vec<_> = scenes
            .iter()
            .flat_map(|scene| scene.rows.iter().map(move |row| (scene, row)))
            .map(|(scene, row)| CostRow {
                scene: scene.name.clone(),
                name: row.name.clone(),
                reason: None,
                quiet: Some(Sample::of(&[2.0], &[1.0])),
                logged: None,
                refused: None,
            })
            .collect();
        for target in of_cost(&rows) {
            assert!(target.measured.is_some(), "{}", target.what);
        }
    }
}
