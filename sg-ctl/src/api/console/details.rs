//! One group: what it says, who carries it, who refers to it, what happened to it.

use maud::{Markup, html};
use sg_policy::model::{DEFAULT_GROUP, Direction, Peer, Rule, SecurityGroup};

use super::hits::{ago, bytes};
use super::look::{Notice, Page, copyable, csrf, empty, of_group};
use super::names::Names;
use super::rows::{kind_of, protocol_text};
use super::{Query, Scene, changes};
use crate::vpc::Owned;

/// The tabs: the address of each, and its name.
const TABS: [(&str, &str); 6] = [
    ("inbound", "Inbound rules"),
    ("outbound", "Outbound rules"),
    ("interfaces", "Interfaces"),
    ("references", "Referenced by"),
    ("tags", "Tags"),
    ("changes", "Changes"),
];

/// The page.
pub(super) fn page(
    scene: &Scene,
    group: &SecurityGroup,
    query: &Query,
    notice: Option<Notice>,
) -> Markup {
    let tab = query.get("tab");
    let tab = TABS
        .iter()
        .find(|(id, _)| *id == tab)
        .map_or(TABS[0].0, |(id, _)| *id);
    let may_change = scene.may_change_group(group);
    let acts = html! {
        @if may_change {
            a.button href={ "/groups/" (group.id) "/tags" } { "Edit tags" }
            @if group.name != DEFAULT_GROUP {
                a.button.danger href={ "/groups/" (group.id) "/delete" } { "Delete" }
            }
        }
    };
    let body = html! {
        (summary(scene, group))
        nav.tabs aria-label="Of this group" {
            ul {
                @for (id, name) in TABS {
                    li { a href={ "/groups/" (group.id) "?tab=" (id) } aria-current=[(id == tab).then_some("true")] {
                        (name) @if let Some(count) = count(scene, group, id) { span.count { (count) } }
                    } }
                }
            }
        }
        section.tab {
            @match tab {
                "outbound" => { (rules(scene, group, Direction::Outbound, query)) }
                "interfaces" => { (interfaces(scene, group)) }
                "references" => { (references(scene, group)) }
                "tags" => { (tags(group)) }
                "changes" => { (changes::of_group(scene, group)) }
                _ => { (rules(scene, group, Direction::Inbound, query)) }
            }
        }
    };
    Page {
        title: &group.name,
        place: "/groups",
        trail: &[("/groups".to_owned(), "Security groups".to_owned())],
        acts,
        notice,
        body,
    }
    .html(scene)
}

fn count(scene: &Scene, group: &SecurityGroup, tab: &str) -> Option<usize> {
    Some(match tab {
        "inbound" => group.inbound.len(),
        "outbound" => group.outbound.len(),
        "interfaces" => carriers(scene, group).count(),
        "references" => referring(scene, group).len(),
        "tags" => group.tags.len(),
        _ => return None,
    })
}

fn summary(scene: &Scene, group: &SecurityGroup) -> Markup {
    let place = &scene.world.place;
    let file = scene.document.file_of(Owned::Group, &group.name);
    html! {
        dl.summary {
            div { dt { "Security group id" } dd { (copyable(group.id.as_str())) } }
            div { dt { "Description" } dd { bdi { (group.description) } } }
            div { dt { "VPC" } dd { code { (place.vpc_id()) } } }
            div.wide { dt { "ARN" } dd { (copyable(&place.arn("security-group", group.id.as_str()))) } }
            @if let Some(file) = file {
                div.wide { dt { "Owner" } dd {
                    "Rule file " code { (if file.is_empty() { "(name not known)" } else { file }) } " – change it there."
                } }
            }
        }
    }
}

fn rules(scene: &Scene, group: &SecurityGroup, direction: Direction, query: &Query) -> Markup {
    let never = query.get("hit") == "never";
    let all = group.rules(direction);
    let is_never = |rule: &&Rule| {
        scene
            .hits
            .of(&group.id, &rule.id)
            .is_some_and(|hit| hit.flows == 0 && hit.last.is_none())
    };
    let shown: Vec<_> = all.iter().filter(|rule| !never || is_never(rule)).collect();
    let (name, words) = match direction {
        Direction::Inbound => (
            "inbound",
            "Nothing may come in, but answers to what went out.",
        ),
        Direction::Outbound => (
            "outbound",
            "Nothing may go out, but answers to what came in.",
        ),
    };
    let edit = format!("/groups/{}/{name}", group.id);
    let at = format!("/groups/{}?tab={name}", group.id);
    let act = html! {
        @if scene.may_change_group(group) { a.button.primary href=(edit) { "Edit " (name) " rules" } }
    };
    if all.is_empty() {
        return empty(&format!("No {name} rules"), words, &act);
    }
    html! {
        div.bar {
            @if never { a.button href=(at) { "All rules" } }
            @else { a.button href={ (at) "&hit=never" } { "Never hit" } }
            (act)
        }
        @if shown.is_empty() { p.quiet { "Every rule that is in force has been hit." } }
        @else { div.scroll { (rule_table(scene, group, direction, &shown)) } }
    }
}

fn rule_table(
    scene: &Scene,
    group: &SecurityGroup,
    direction: Direction,
    rules: &[&Rule],
) -> Markup {
    let names = Names::new(&scene.document);
    let end = if direction == Direction::Inbound {
        "Source"
    } else {
        "Destination"
    };
    html! {
        table {
            caption.hide { (direction.name()) " rules of " (group.name) }
            thead { tr {
                th scope="col" { "Type" } th scope="col" { "Protocol" } th scope="col" { "Ports" }
                th scope="col" { (end) } th scope="col" { "Description" }
                th.number scope="col" { "Flows" } th.number scope="col" { "Bytes" } th scope="col" { "Last hit" }
                th scope="col" { "Rule id" }
            } }
            tbody {
                @for rule in rules {
                    @let hit = scene.hits.of(&group.id, &rule.id);
                    tr {
                        th scope="row" { (kind_of(rule.service)) }
                        td { (protocol_text(rule.service)) }
                        td { (rule.service.ports_text()) }
                        td { (source(&names, &rule.peer)) }
                        td.text { bdi { (rule.description) } }
                        td.number { @if let Some(hit) = hit { (hit.flows) } @else { "–" } }
                        td.number { @if let Some(hit) = hit { (bytes(hit.bytes)) } @else { "–" } }
                        td {
                            @match hit {
                                None => { span.quiet title="No interface of this host carries the group" { "not in use" } }
                                Some(hit) => { @if let Some(last) = hit.last { (ago(last)) } @else { span.badge.never { "never" } } }
                            }
                        }
                        td { code { (rule.id) } }
                    }
                }
            }
        }
    }
}

/// A source with the name that people know, and a link to it.
pub(super) fn source(names: &Names<'_>, peer: &Peer) -> Markup {
    let id = names.id(peer);
    html! {
        @match peer {
            Peer::Cidr(_) => { code { (id) } }
            Peer::Group(name) => { a href={ "/groups/" (id) } { bdi { (name) } } span.note { code { (id) } } }
            Peer::PrefixList(name) => { a href={ "/lists#" (id) } { bdi { (name) } } span.note { code { (id) } } }
        }
    }
}

fn carriers<'s>(
    scene: &'s Scene,
    group: &'s SecurityGroup,
) -> impl Iterator<Item = &'s crate::api::world::Eni> {
    let interfaces = scene.world.interfaces.iter();
    interfaces.filter(|each| each.spec.groups.contains(&group.name))
}

fn interfaces(scene: &Scene, group: &SecurityGroup) -> Markup {
    if carriers(scene, group).next().is_none() {
        let act = html! { a.button href="/interfaces" { "Interfaces" } };
        return empty(
            "No interface carries this group",
            "Its rules are in force once an interface does.",
            &act,
        );
    }
    html! {
        div.scroll { table {
            caption.hide { "Interfaces that carry " (group.name) }
            thead { tr { th scope="col" { "Interface" } th scope="col" { "Id" } th scope="col" { "Addresses" } } }
            tbody {
                @for each in carriers(scene, group) {
                    tr {
                        th scope="row" { a href="/interfaces" { (each.host) "/" (each.name) } }
                        td { code { (each.id) } }
                        td { @for address in &each.addresses { code.part { (address) } } }
                    }
                }
            }
        } }
    }
}

fn referring<'s>(
    scene: &'s Scene,
    group: &SecurityGroup,
) -> Vec<(&'s SecurityGroup, Direction, &'s Rule)> {
    let all = scene.document.model().groups.values();
    let rules = all.flat_map(|each| {
        Direction::ALL.into_iter().flat_map(move |direction| {
            each.rules(direction)
                .iter()
                .map(move |rule| (each, direction, rule))
        })
    });
    rules
        .filter(|(_, _, rule)| matches!(&rule.peer, Peer::Group(name) if *name == group.name))
        .collect()
}

fn references(scene: &Scene, group: &SecurityGroup) -> Markup {
    let all = referring(scene, group);
    if all.is_empty() {
        return empty(
            "No rule refers to this group",
            "Rules of other groups can name it as source or destination.",
            &html! {},
        );
    }
    html! {
        div.scroll { table {
            caption.hide { "Rules that refer to " (group.name) }
            thead { tr { th scope="col" { "Group" } th scope="col" { "Direction" } th scope="col" { "Type" } th scope="col" { "Ports" } th scope="col" { "Rule id" } } }
            tbody {
                @for (each, direction, rule) in all {
                    tr {
                        th scope="row" { a href={ "/groups/" (each.id) "?tab=" (direction.name()) } { bdi { (each.name) } } }
                        td { (direction.name()) }
                        td { (kind_of(rule.service)) }
                        td { (rule.service.ports_text()) }
                        td { code { (rule.id) } }
                    }
                }
            }
        } }
    }
}

fn tags(group: &SecurityGroup) -> Markup {
    if group.tags.is_empty() {
        return empty(
            "No tags",
            "Tags are names and values of your own, for people and filters.",
            &html! {},
        );
    }
    html! {
        div.scroll { table {
            caption.hide { "Tags of " (group.name) }
            thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } } }
            tbody { @for (key, value) in &group.tags { tr { th scope="row" { bdi { (key) } } td { bdi { (value) } } } } }
        } }
    }
}

/// The page that asks before a group goes.
pub(super) fn delete(scene: &Scene, group: &SecurityGroup, notice: Option<Notice>) -> Markup {
    let body = html! {
        form.card.narrow method="post" action={ "/groups/" (group.id) "/delete" } {
            (csrf(scene))
            p { "This ends all rules of " strong { bdi { (group.name) } } " (" code { (group.id) } "). It cannot be undone." }
            label for="typed" { "To confirm, type " strong { "delete" } }
            input #typed name="typed" autocomplete="off" required pattern="delete" data-focus="";
            div.acts {
                a.button href={ "/groups/" (group.id) } { "Cancel" }
                button.danger type="submit" { "Delete security group" }
            }
        }
    };
    of_group(scene, "Delete security group", group, notice, body)
}
