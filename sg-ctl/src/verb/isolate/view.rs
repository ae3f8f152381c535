//! What `isolate` says when it is done.

use std::fmt;

use serde::Serialize;
use sg_ctl::host::IsolateSummary;

use crate::verb::output::{Tone, counted};

/// Answer of `isolate`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct IsolateView<'a> {
    applied: bool,
    #[serde(flatten)]
    summary: &'a IsolateSummary,
}

impl<'a> IsolateView<'a> {
    /// The view of what was done, or would be.
    pub(crate) const fn new(summary: &'a IsolateSummary, applied: bool) -> Self {
        Self { applied, summary }
    }

    /// What the user should know besides.
    pub(crate) const fn notes(&self) -> &[String] {
        self.summary.notes.as_slice()
    }
}

impl fmt::Display for IsolateView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IsolateSummary {
            interface,
            isolated,
            flows_cut,
            kept,
            ..
        } = self.summary;
        let would = if self.applied { "is" } else { "would be" };
        if !isolated {
            let released = Tone::Good.paint("guarded by its groups again");
            return writeln!(f, "{interface} {would} {released}");
        }
        let cut_off = Tone::Notable.paint("isolated");
        writeln!(
            f,
            "{interface} {would} {cut_off}: {} cut",
            counted(*flows_cut as u64, "flow")
        )?;
        if let Some(peer) = kept {
            writeln!(
                f,
                "admitted all the same: {} to port {}",
                peer.client, peer.port
            )?;
        }
        writeln!(f, "sg-ctl isolate {interface} --release ends it")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sg_ctl::host::state::SshPeer;

    use super::*;

    fn plain(summary: &IsolateSummary, applied: bool) -> String {
        let text = IsolateView::new(summary, applied).to_string();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn it_tells_what_was_cut_and_how_it_ends() {
        let mut summary = IsolateSummary {
            interface: "eth0".to_owned(),
            isolated: true,
            changed: true,
            flows_cut: 1,
            kept: Some(SshPeer {
                client: [203, 0, 113, 7].into(),
                port: 22,
            }),
            notes: vec![],
            duration: Duration::ZERO,
        };
        assert_eq!(
            plain(&summary, true),
            "eth0 is isolated: 1 flow cut\n\
             admitted all the same: 203.0.113.7 to port 22\n\
             sg-ctl isolate eth0 --release ends it\n"
        );
        let json = serde_json::to_value(IsolateView::new(&summary, false)).expect("JSON");
        assert_eq!(
            (&json["applied"], &json["flows_cut"]),
            (&false.into(), &1.into())
        );
        summary.isolated = false;
        assert_eq!(
            plain(&summary, false),
            "eth0 would be guarded by its groups again\n"
        );
    }
}
