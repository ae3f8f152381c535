//! One packet of a capture, and what becomes of it.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::replay::{Judgement, Packet};

use crate::verb::output::Tone;
use crate::verb::output::event::EventView;
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;

/// A judged packet as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PacketView<'a> {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "verdict"))]
    kind: &'static str,
    capture: &'a str,
    index: u64,
    cut: bool,
    #[serde(flatten)]
    event: EventView,
}

impl<'a> PacketView<'a> {
    /// Describes what became of a packet.
    pub(crate) fn new(
        capture: &'a str,
        packet: &Packet<'_>,
        judgement: &Judgement,
        clock: &WallClock,
        names: &Names,
    ) -> Self {
        Self {
            kind: "verdict",
            capture,
            index: packet.number,
            cut: judgement.is_cut,
            event: EventView::new(&judgement.event, clock, names),
        }
    }
}

impl Display for PacketView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {}", self.index, self.event)?;
        if self.cut {
            write!(f, " {}", Tone::Notable.paint("cut"))?;
        }
        Ok(())
    }
}
