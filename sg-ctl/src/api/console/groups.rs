//! The list of groups.

use maud::{Markup, html};
use sg_policy::model::SecurityGroup;

use super::hits::ago;
use super::look::{Notice, Page, empty};
use super::{Query, Scene};
use crate::vpc::Owned;

/// Groups on one page.
const PER_PAGE: usize = 50;

/// Whether a group has a text in its name, id, description or tags.
fn has(group: &SecurityGroup, text: &str) -> bool {
    let holds = |held: &str| held.to_lowercase().contains(text);
    holds(&group.name)
        || holds(group.id.as_str())
        || holds(&group.description)
        || group
            .tags
            .iter()
            .any(|(key, value)| holds(key) || holds(value))
}

/// The page.
pub(super) fn list(scene: &Scene, query: &Query, notice: Option<Notice>) -> Markup {
    let model = scene.document.model();
    let text = query.get("q").trim().to_lowercase();
    let groups = model.groups.values();
    let never = query.get("hit") == "never";
    let found: Vec<_> = groups
        .filter(|group| has(group, &text))
        .filter(|group| {
            !never || (scene.hits.has(&group.id) && scene.hits.last(&group.id).is_none())
        })
        .collect();
    let pages = found.len().div_ceil(PER_PAGE).max(1);
    let page = query.number("page").clamp(1, pages);
    let shown: Vec<_> = found
        .iter()
        .skip((page - 1) * PER_PAGE)
        .take(PER_PAGE)
        .collect();
    let acts = html! {
        @if scene.may_change() { a.button.primary href="/groups/new" { "Create security group" } }
    };
    let body = html! {
        form.filter method="get" action="/groups" role="search" {
            label for="q" { "Find groups" }
            input #q type="search" name="q" value=(query.get("q")) placeholder="Name, id, description or tag" autocomplete="off";
            label.check { input type="checkbox" name="hit" value="never" checked[never]; " never hit" }
            button type="submit" { "Filter" }
        }
        @if shown.is_empty() {
            (nothing(scene, &text, never))
        } @else {
            div.scroll {
                (table(scene, &shown))
            }
            (paging(query, page, pages, found.len()))
        }
    };
    Page {
        title: "Security groups",
        place: "/groups",
        trail: &[],
        acts,
        notice,
        body,
    }
    .html(scene)
}

fn nothing(scene: &Scene, text: &str, never: bool) -> Markup {
    if text.is_empty() && !never {
        let act = html! {
            @if scene.may_change() { a.button.primary href="/groups/new" { "Create security group" } }
        };
        return empty(
            "No security groups",
            "A group says which traffic may come in and go out.",
            &act,
        );
    }
    let act = html! { a.button href="/groups" { "Clear filter" } };
    empty(
        "No group matches",
        "Nothing has this in its name, id, description or tags.",
        &act,
    )
}

fn table(scene: &Scene, shown: &[&&SecurityGroup]) -> Markup {
    let carriers = |group: &SecurityGroup| {
        let interfaces = scene.world.interfaces.iter();
        interfaces
            .filter(|each| each.spec.groups.contains(&group.name))
            .count()
    };
    html! {
        table {
            caption.hide { "Security groups" }
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Group id" } th scope="col" { "Description" }
                th.number scope="col" { "Inbound" } th.number scope="col" { "Outbound" }
                th.number scope="col" { "Interfaces" } th scope="col" { "Last hit" }
            } }
            tbody {
                @for group in shown {
                    tr {
                        th scope="row" {
                            a href={ "/groups/" (group.id) } { bdi { (group.name) } }
                            @if let Some(name) = group.tags.get("Name").filter(|name| **name != group.name) {
                                span.note { bdi { (name) } }
                            }
                            (owner(scene, group))
                        }
                        td { code { (group.id) } }
                        td.text { bdi { (group.description) } }
                        td.number { (group.inbound.len()) }
                        td.number { (group.outbound.len()) }
                        td.number { (carriers(group)) }
                        td { (last_hit(scene, group)) }
                    }
                }
            }
        }
    }
}

fn last_hit(scene: &Scene, group: &SecurityGroup) -> Markup {
    match (scene.hits.has(&group.id), scene.hits.last(&group.id)) {
        (_, Some(time)) => html! { (ago(time)) },
        (true, None) => html! { span.badge.never { "never" } },
        (false, None) => {
            html! { span.quiet title="No interface of this host carries it" { "not in use" } }
        }
    }
}

/// The file that a group belongs to.
pub(super) fn owner(scene: &Scene, group: &SecurityGroup) -> Markup {
    let file = scene.document.file_of(Owned::Group, &group.name);
    html! {
        @if let Some(file) = file {
            span.badge.file title="A rule file defines this group: change it there" {
                (if file.is_empty() { "rule file" } else { file })
            }
        }
    }
}

fn paging(query: &Query, page: usize, pages: usize, count: usize) -> Markup {
    let to = |page: usize| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for key in ["q", "hit"] {
            if !query.get(key).is_empty() {
                pairs.append_pair(key, query.get(key));
            }
        }
        pairs.append_pair("page", &page.to_string());
        format!("/groups?{}", pairs.finish())
    };
    html! {
        nav.pages aria-label="Pages" {
            span role="status" { (count) @if count == 1 { " group" } @else { " groups" } }
            @if pages > 1 {
                @if page > 1 { a.button href=(to(page - 1)) rel="prev" { "Previous" } }
                span { "Page " (page) " of " (pages) }
                @if page < pages { a.button href=(to(page + 1)) rel="next" { "Next" } }
            }
        }
    }
}
