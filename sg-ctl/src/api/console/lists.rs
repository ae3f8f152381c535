//! Prefix lists: what is in them, and which rules name them.

use maud::{Markup, html};
use sg_policy::model::{Direction, Peer, SecurityGroup};

use super::Scene;
use super::look::{Page, copyable, empty};
use super::names::list_id;
use crate::vpc::Owned;

/// The page.
pub(super) fn page(scene: &Scene) -> Markup {
    let model = scene.document.model();
    let users = |name: &str| -> Vec<&SecurityGroup> {
        let refers = |group: &&SecurityGroup| {
            let mut rules = Direction::ALL
                .into_iter()
                .flat_map(|direction| group.rules(direction));
            rules.any(|rule| matches!(&rule.peer, Peer::PrefixList(list) if list == name))
        };
        model.groups.values().filter(refers).collect()
    };
    let body = html! {
        @if model.prefix_lists.is_empty() {
            (empty("No prefix lists", "A prefix list gives a name to address ranges. Rule files and `aws ec2 create-managed-prefix-list` make them.", &html! {}))
        }
        @for (name, list) in &model.prefix_lists {
            @let managed = scene.document.managed_lists().get(name);
            @let id = list_id(&scene.document, name);
            section.card id=(id) {
                h2 { bdi { (name) } }
                p { (copyable(&id))
                    @if let Some(managed) = managed { " version " (managed.version) }
                    @if let Some(file) = scene.document.file_of(Owned::PrefixList, name) { span.badge.file { (if file.is_empty() { "rule file" } else { file }) } }
                }
                p.ranges { @for net in list.entries.iter().take(200) { code.part { (net) } }
                    @if list.entries.len() > 200 { span.quiet { "and " (list.entries.len() - 200) " more" } }
                    @if list.entries.is_empty() { span.quiet { "No entries." } } }
                p.quiet { (list.entries.len()) " entries"
                    @if let Some(most) = list.max_entries { " of at most " (most) }
                    ". Used by " @let users = users(name);
                    @if users.is_empty() { "no group." }
                    @for group in users { a.part href={ "/groups/" (group.id) } { bdi { (group.name) } } } }
            }
        }
    };
    Page {
        title: "Prefix lists",
        place: "/lists",
        trail: &[],
        acts: html! {},
        notice: None,
        body,
    }
    .html(scene)
}
