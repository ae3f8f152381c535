//! The audit log, for people.

use maud::{Markup, html};
use sg_policy::model::SecurityGroup;

use super::Scene;
use super::look::{Page, empty};
use crate::api::audit::Entry;

/// Calls that are shown.
const MOST: usize = 100;

/// All changes.
pub(super) fn page(scene: &Scene) -> Markup {
    let entries: Vec<_> = scene.entries.iter().rev().take(MOST).collect();
    Page {
        title: "Changes",
        place: "/changes",
        trail: &[],
        acts: html! {},
        notice: None,
        body: table(&entries),
    }
    .html(scene)
}

/// The changes of one group.
pub(super) fn of_group(scene: &Scene, group: &SecurityGroup) -> Markup {
    let id = group.id.as_str();
    let touches = |entry: &&Entry| {
        entry.groups.contains_key(id) || entry.parameters.values().any(|value| value == id)
    };
    let entries: Vec<_> = scene
        .entries
        .iter()
        .rev()
        .filter(touches)
        .take(MOST)
        .collect();
    table(&entries)
}

fn table(entries: &[&Entry]) -> Markup {
    if entries.is_empty() {
        return empty(
            "No changes",
            "What the API and this console change is written down here. Rule files have their own history.",
            &html! {},
        );
    }
    html! {
        div.scroll { table {
            caption.hide { "Changes, the latest first" }
            thead { tr { th scope="col" { "Time (UTC)" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Result" } th scope="col" { "Rules" } } }
            tbody {
                @for entry in entries {
                    tr {
                        th scope="row" { time datetime=(entry.time) { (entry.time.get(..19).unwrap_or(&entry.time).replace('T', " ")) } }
                        td { bdi { (entry.name) } @if let Some(address) = entry.address { span.note { code { (address) } } } span.note { bdi { (entry.agent) } } }
                        td { (entry.action) @for (id, name) in &entry.groups { span.note { a href={ "/groups/" (id) } { bdi { (name) } } } } }
                        td {
                            @if entry.result == "ok" { span.badge.done { "done" } }
                            @else { span.badge.gone { (entry.result) } span.note { bdi { (entry.message) } } }
                        }
                        td { ul.diff {
                            @for (id, words) in &entry.removed { li.gone title=(id) { "− " bdi { (words) } } }
                            @for (id, words) in &entry.added { li.new title=(id) { "+ " bdi { (words) } } }
                        } }
                    }
                }
            }
        } }
    }
}
