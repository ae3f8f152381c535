//! The operations that are killed, and what packets meet before and after each.

use sg_common::{
    ends::VlanIds,
    flow::{Direction, FlowState},
    proto::TCP,
};
use sg_ctl::{
    host::crash::CrashPoint,
    host::dataplane::{Connection, Dataplane},
};
use sg_tests::sg_ctl::SgCtl;

use super::{killed_at, words};

/// What is in force, as packets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// Everything passes.
    Nothing,
    /// Only port 22 is open.
    Ssh,
    /// Only port 80 is open.
    Http,
    /// Nothing passes.
    Closed,
}

/// An operation, and how it is come to.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// What is run before it; words that end in `.yaml` are rule files.
    pub(super) before: &'static [&'static str],
    /// What must be done by other means before it.
    pub(super) prepare: fn(&SgCtl<'_>),
    /// The command.
    pub(super) command: &'static str,
    pub(super) old: Force,
    pub(super) new: Force,
}

const fn nothing(_: &SgCtl<'_>) {}

pub(super) const OPERATIONS: [Operation; 14] = [
    Operation {
        name: "attach",
        before: &[],
        prepare: nothing,
        command: "attach eth0 -f http.yaml",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "apply",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: nothing,
        command: "apply -f http.yaml",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "detach",
        before: &["attach eth0 -f http.yaml"],
        prepare: nothing,
        command: "detach eth0",
        old: Force::Http,
        new: Force::Nothing,
    },
    Operation {
        name: "rollback",
        before: &["attach eth0 -f http.yaml", "apply -f ssh.yaml"],
        prepare: nothing,
        command: "rollback",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "mode",
        before: &["attach eth0 -f http.yaml --audit"],
        prepare: nothing,
        command: "mode eth0 enforce",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "a change on trial",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: nothing,
        command: "apply -f http.yaml --confirm-within 24h",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "confirm",
        before: &[
            "attach eth0 -f ssh.yaml",
            "apply -f http.yaml --confirm-within 24h",
        ],
        prepare: nothing,
        command: "confirm",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "the state follows a deadline",
        before: &[
            "attach eth0 -f http.yaml",
            "apply -f ssh.yaml --confirm-within 24h",
        ],
        prepare: let_the_deadline_pass,
        command: "apply -f http.yaml",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "isolate",
        before: &["attach eth0 -f http.yaml"],
        prepare: open_a_flow,
        command: "isolate eth0",
        old: Force::Http,
        new: Force::Closed,
    },
    Operation {
        name: "upgrade",
        before: &["attach eth0 -f http.yaml"],
        prepare: crate::host::upgrade::disguise,
        command: "upgrade",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "move",
        before: &["attach eth0 -f http.yaml"],
        prepare: crate::host::upgrade::change_layout,
        command: "upgrade",
        // Until both hooks know all flows nothing is dropped, as in attach.
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "restore",
        before: &["attach eth0 -f http.yaml"],
        prepare: reboot,
        command: "restore",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "finishing",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: |sg| interrupt(sg, CrashPoint::ImageReplaced),
        command: "confirm",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "taking back",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: |sg| interrupt(sg, CrashPoint::ImagePinned),
        command: "confirm",
        old: Force::Ssh,
        new: Force::Ssh,
    },
];

fn let_the_deadline_pass(sg: &SgCtl<'_>) {
    sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("root may look");
        let mut settings = dataplane.settings(0).expect("it is attached");
        settings.rollback_at = 1;
        dataplane
            .set_settings(0, &settings)
            .expect("it is attached");
    });
}

fn open_a_flow(sg: &SgCtl<'_>) {
    let end = |text: &str| text.parse().expect("an address and a port");
    let connection = Connection {
        vlan: VlanIds::NONE,
        protocol: TCP,
        local: end("198.51.100.34:80"),
        remote: end("203.0.113.1:40000"),
        state: FlowState::TCP_ESTABLISHED,
        opened: Direction::Inbound,
    };
    let opened = sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("root may look");
        dataplane.seed(0, &[connection]).expect("it is attached")
    });
    assert_eq!(opened.opened, 1);
}

fn reboot(sg: &SgCtl<'_>) {
    std::fs::remove_dir_all(sg.pins()).expect("they are ours");
}

/// Kills `apply` at a point.
fn interrupt(sg: &SgCtl<'_>, at: CrashPoint) {
    let words = words(sg, "apply -f http.yaml");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    for number in 1.. {
        // Each time the next run takes the last one back first; that has points, too.
        sg.ok(&["confirm"]);
        match killed_at(sg, number, &words) {
            Some(point) if point == at => return,
            point => assert!(point.is_some(), "{at:?} was not reached"),
        }
    }
}
