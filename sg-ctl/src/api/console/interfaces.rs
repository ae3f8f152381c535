//! The guarded interfaces of the hosts, and which groups they carry.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::Scene;
use super::look::{Notice, Page, csrf, empty};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::world::Eni;
use crate::vpc::Owned;

/// Groups beyond which only those that an interface carries have boxes: others are added by name.
const BOXES: usize = 40;

/// The page.
pub(super) fn page(scene: &Scene, notice: Option<Notice>) -> Markup {
    let interfaces = &scene.world.interfaces;
    let body = html! {
        @if interfaces.is_empty() {
            (empty("No interface is guarded", "On the host, `sg-ctl attach IFACE` guards one; it is shown here then.", &html! {}))
        } @else {
            div.scroll { table {
                caption.hide { "Guarded interfaces" }
                thead { tr { th scope="col" { "Interface" } th scope="col" { "Mode" } th scope="col" { "Addresses" } th scope="col" { "Security groups" } th scope="col" { "Change" } } }
                tbody { @for each in interfaces { (row(scene, each)) } }
            } }
            @if has_many(scene) { datalist #groups {
                @for group in scene.document.model().groups.values() { option value=(group.name) { (group.id) } }
            } }
        }
    };
    Page {
        title: "Interfaces",
        place: "/interfaces",
        trail: &[],
        acts: html! {},
        notice,
        body,
    }
    .html(scene)
}

fn row(scene: &Scene, each: &Eni) -> Markup {
    let groups = &scene.document.model().groups;
    let entry = scene.world.place.entry(&each.host, &each.name);
    let file = scene.document.file_of(Owned::Interface, &entry);
    html! {
        tr {
            th scope="row" { (each.host) "/" (each.name) span.note { code { (each.id) } } }
            td {
                @if !each.in_use { span.badge.gone { "not guarded now" } }
                @else if each.spec.audit { span.badge.never { "audit" } }
                @else { span.badge.done { "enforced" } }
            }
            td { @for address in &each.addresses { code.part { (address) } } }
            td {
                @for name in &each.spec.groups {
                    @if let Some(group) = groups.get(name) { a.part href={ "/groups/" (group.id) } { bdi { (name) } } }
                }
            }
            td {
                @if let Some(file) = file {
                    span.badge.file title="A rule file says which groups it carries: change it there" { (if file.is_empty() { "rule file" } else { file }) }
                } @else if scene.may_change() { (choice(scene, each)) }
            }
        }
    }
}

/// The ids of the groups that a form chooses. What is neither name nor id is refused by the call, with the
/// word for it.
pub(super) fn chosen(scene: &Scene, form: &Form) -> Result<BTreeSet<String>, Refusal> {
    let groups = &scene.document.model().groups;
    let boxes = form.parts("group")?;
    let boxes = boxes.iter().map(|part| part.get("id").unwrap_or_default());
    let added = form.get("add").unwrap_or_default().split(',');
    let texts = boxes.chain(added).map(str::trim);
    let ids = texts.filter(|text| !text.is_empty()).map(|text| {
        let group = groups.get(text);
        group.map_or_else(|| text.to_owned(), |group| group.id.to_string())
    });
    Ok(ids.collect())
}

fn has_many(scene: &Scene) -> bool {
    scene.document.model().groups.len() > BOXES
}

fn choice(scene: &Scene, each: &Eni) -> Markup {
    let groups = scene.document.model().groups.values();
    let many = has_many(scene);
    let groups = groups.filter(|group| !many || each.spec.groups.contains(&group.name));
    let add = format!("add-{}", each.id);
    html! {
        details {
            summary { "Change groups" }
            form method="post" action={ "/interfaces/" (each.id) } {
                (csrf(scene))
                fieldset.choice {
                    legend { "Groups of " (each.name) ", 1 to " (scene.document.model().limits.groups_per_interface) }
                    @for (number, group) in (1..).zip(groups) {
                        label.check {
                            input type="checkbox" name={ "group." (number) ".id" } value=(group.id) checked[each.spec.groups.contains(&group.name)];
                            " " bdi { (group.name) }
                        }
                    }
                }
                @if many { div.field {
                    label for=(add) { "More groups" span.hide { " of " (each.name) } }
                    input id=(add) name="add" list="groups" autocomplete="off" spellcheck="false" placeholder="Name or sg-…, by commas";
                } }
                p.quiet { "A change that would shut out this browser's own address is refused." }
                button.primary type="submit" { "Save groups" }
            }
        }
    }
}
