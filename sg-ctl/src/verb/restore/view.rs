//! What `restore` says when it is done.

use serde::Serialize;
use sg_ctl::host::Restored;

use crate::verb::output::Tone;

/// What became of one interface. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct RestoredView<'a> {
    interface: &'a str,
    result: &'static str,
    error: Option<String>,
    note: Option<String>,
}

impl<'a> RestoredView<'a> {
    /// The view of what was done.
    pub(crate) fn new((interface, restored): &'a (String, Restored)) -> Self {
        let (result, error, note) = match restored {
            Restored::Due => ("due", None, None),
            Restored::Attached(_) => ("attached", None, None),
            Restored::Intact(guard) => ("intact", None, guard.fault()),
            Restored::Missing => ("missing", None, None),
            Restored::Failed(error) => ("failed", Some(error.to_string()), None),
        };
        Self {
            interface,
            result,
            error,
            note,
        }
    }

    /// A line for each interface.
    pub(crate) fn lines(views: &[Self]) -> String {
        let line = |view: &Self| {
            let text = match view.result {
                "attached" => Tone::Good.paint("is guarded again"),
                "due" => Tone::Notable.paint("would be guarded again"),
                "intact" => match &view.note {
                    Some(note) => Tone::Notable.paint(format_args!("is attached, but {note}")),
                    None => "is guarded".to_owned(),
                },
                "missing" => Tone::Notable.paint("is not there; it waits"),
                _ => Tone::Bad.paint("is not guarded"),
            };
            [view.interface, " ", &text, "\n"].concat()
        };
        views.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::{Guard, HostError};

    use super::*;

    #[test]
    fn every_interface_has_its_line() {
        let results = [
            ("eth0".to_owned(), Restored::Intact(Guard::Whole)),
            ("eth1".to_owned(), Restored::Missing),
            ("eth2".to_owned(), Restored::Failed(HostError::NoPrevious)),
        ];
        let views: Vec<_> = results.iter().map(RestoredView::new).collect();
        let lines = RestoredView::lines(&views);
        assert_eq!(
            anstream::adapter::strip_str(&lines).to_string(),
            "eth0 is guarded\n\
             eth1 is not there; it waits\n\
             eth2 is not guarded\n"
        );
        let json = serde_json::to_value(&views).expect("JSON");
        assert_eq!(json[1]["result"], "missing");
        assert!(json[2]["error"].is_string());
    }
}
