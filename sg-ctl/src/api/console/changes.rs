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

/// What a client calls itself, in one word of the many that it says.
fn client(agent: &str) -> &str {
    let known = ["Terraform/", "Ansible/", "aws-cli/", "Boto3/", "aws-sdk-"];
    let mut words = agent.split_whitespace();
    let is_known = |word: &&str| known.iter().any(|name| word.starts_with(name));
    let first = words.clone().next().unwrap_or_default();
    words.find(is_known).unwrap_or(first)
}

fn table(entries: &[&Entry]) -> Markup {
    if entries.is_empty() {
        return empty(
            "No changes",
            "What the API and this console change is written down; the latest 10 000 calls are looked through here, all by sg-ctl audit. Rule files have their own history.",
            &html! {},
        );
    }
    html! {
        div.scroll { table.changes {
            caption.hide { "Changes, the latest first" }
            thead { tr { th scope="col" { "Time (UTC)" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Result" } th scope="col" { "Rules" } } }
            tbody {
                @for entry in entries {
                    tr {
                        th scope="row" { time datetime=(entry.time) { (entry.time.get(..19).unwrap_or(&entry.time).replace('T', " ")) } }
                        td { bdi { (entry.name) } @if let Some(address) = entry.address { span.note { code { (address) } } } span.note title=(entry.agent) { bdi { (client(&entry.agent)) } } }
                        td { (entry.action) @if let Some(id) = entry.parameters.get("NetworkInterfaceId") { span.note { code { (id) } } }
                            @for (id, name) in &entry.groups { span.note { a href={ "/groups/" (id) } { bdi { (name) } } } } }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_named_by_the_word_that_people_know() {
        let terraform = "APN/1.0 HashiCorp/1.0 Terraform/1.11.4 (+https://www.terraform.io) \
                         terraform-provider-aws/5.100.0 aws-sdk-go-v2/1.36.4";
        assert_eq!(client(terraform), "Terraform/1.11.4");
        let boto = "Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 os/linux#6.18 lang/python#3.11.7";
        assert_eq!(client(boto), "Boto3/1.44.8");
        assert_eq!((client("console"), client("")), ("console", ""));
    }
}
