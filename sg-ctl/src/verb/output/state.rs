//! The state of an interface in one word.

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::{Guard, InterfaceStatus, Mode};

use crate::verb::output::Tone;

/// What becomes of the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Verdicts are carried out.
    Enforcing,
    /// Packets are judged, and all pass.
    Auditing,
    /// It is cut off, whatever its groups say.
    Isolated,
    /// Others see packets before us, and may let them pass.
    Preempted,
    /// One of the two hooks is missing.
    HalfAttached,
    /// Our programs are there, but out of reach.
    Unreachable,
    /// The interface is there, but no program of ours.
    NotAttached,
    /// Another interface, which is not guarded, has the name now.
    Replaced,
    /// There is no such interface.
    Missing,
}

impl State {
    pub(crate) const fn of(interface: &InterfaceStatus) -> Self {
        match (&interface.guard, interface.mode) {
            (Guard::Missing, _) => Self::Missing,
            (Guard::Replaced { .. }, _) => Self::Replaced,
            (Guard::Open, _) => Self::NotAttached,
            (Guard::Half { .. }, _) => Self::HalfAttached,
            (Guard::Unreachable, _) => Self::Unreachable,
            (Guard::Preempted(_), Mode::Enforce) => Self::Preempted,
            _ if interface.isolated => Self::Isolated,
            (_, Mode::Audit) => Self::Auditing,
            (Guard::Whole, Mode::Enforce) => Self::Enforcing,
        }
    }

    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Enforcing => Tone::Good,
            Self::Auditing | Self::Isolated => Tone::Notable,
            Self::Preempted
            | Self::HalfAttached
            | Self::Unreachable
            | Self::NotAttached
            | Self::Replaced
            | Self::Missing => Tone::Bad,
        }
    }
}
