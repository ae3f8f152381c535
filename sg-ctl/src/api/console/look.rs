//! What all pages share: head, navigation, notices, small pieces.

use maud::{DOCTYPE, Markup, html};
use sg_policy::model::SecurityGroup;

use super::Scene;

/// The one stylesheet.
pub(super) const STYLE: &str = include_str!("style.css");
/// The one module.
pub(super) const SCRIPT: &str = include_str!("script.js");
/// The mark: two brackets around an open door.
pub(super) const ICON: &str = include_str!("icon.svg");

/// Pages that the navigation leads to.
const PLACES: [(&str, &str); 7] = [
    ("/groups", "Security groups"),
    ("/interfaces", "Interfaces"),
    ("/lists", "Prefix lists"),
    ("/traffic", "Traffic"),
    ("/why", "Why?"),
    ("/map", "Map"),
    ("/changes", "Changes"),
];

/// A notice on top of a page.
pub(super) enum Notice {
    /// Something was done.
    Done(String),
    /// Something was not.
    Refused(String),
}

/// A page before somebody is signed in, or outside all.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare { main #main { (body) } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · sg" }
            link rel="icon" type="image/svg+xml" href="/console/icon.svg";
            link rel="stylesheet" href="/console/style.css";
            script type="module" src="/console/script.js" {}
        }
    }
}

/// A page: title, the way to it, what can be done there, contents.
pub(super) struct Page<'p> {
    /// Heading.
    pub(super) title: &'p str,
    /// Address of the page of the navigation that it belongs to.
    pub(super) place: &'p str,
    /// The way to it: addresses and names.
    pub(super) trail: &'p [(String, String)],
    /// Buttons beside the heading.
    pub(super) acts: Markup,
    /// What is to be said on top.
    pub(super) notice: Option<Notice>,
    /// The rest.
    pub(super) body: Markup,
}

/// A page about one group, below its details.
pub(super) fn of_group(
    scene: &Scene,
    title: &str,
    group: &SecurityGroup,
    notice: Option<Notice>,
    body: Markup,
) -> Markup {
    Page {
        title,
        place: "/groups",
        trail: &[
            ("/groups".to_owned(), "Security groups".to_owned()),
            (format!("/groups/{}", group.id), group.name.clone()),
        ],
        acts: html! {},
        notice,
        body,
    }
    .html(scene)
}

impl Page<'_> {
    /// The whole document.
    pub(super) fn html(self, scene: &Scene) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(self.title))
                body {
                    a.skip href="#main" { "Skip to contents" }
                    (top(scene, self.place))
                    main #main tabindex="-1" {
                        @if !self.trail.is_empty() {
                            nav.trail aria-label="Breadcrumbs" {
                                ol {
                                    @for (address, name) in self.trail { li { a href=(address) { (name) } } }
                                    li aria-current="page" { (self.title) }
                                }
                            }
                        }
                        @match self.notice {
                            Some(Notice::Done(text)) => { div.notice.done role="status" { (text) } }
                            Some(Notice::Refused(text)) => { div.notice.refused role="alert" { (text) } }
                            None => {}
                        }
                        div.heading { h1 { bdi { (self.title) } } div.acts { (self.acts) } }
                        (self.body)
                    }
                }
            }
        }
    }
}

fn top(scene: &Scene, place: &str) -> Markup {
    let role = if scene.may_change() {
        "admin"
    } else {
        "read only"
    };
    html! {
        header.top {
            a.brand href="/groups" { img src="/console/icon.svg" alt="" width="22" height="22"; "sg" }
            nav aria-label="Main" {
                ul {
                    @for (address, name) in PLACES {
                        li { a href=(address) aria-current=[(address == place).then_some("page")] { (name) } }
                    }
                }
            }
            div.who {
                span title=(scene.world.place.vpc_id()) { (scene.world.place.host) }
                span { (scene.session.key.name) @if scene.session.key.name != role { " · " (role) } }
                form method="post" action="/sign-out" {
                    (csrf(scene)) button.quiet type="submit" { "Sign out" }
                }
            }
        }
    }
}

/// What every form carries.
pub(super) fn csrf(scene: &Scene) -> Markup {
    html! { input type="hidden" name="csrf" value=(scene.session.csrf); }
}

/// An id with a button that copies it.
pub(super) fn copyable(id: &str) -> Markup {
    html! {
        span.copyable { code { (id) }
            button.copy.quiet type="button" data-copy=(id) aria-label={ "Copy " (id) } hidden { "Copy" } }
    }
}

/// What a page says that has nothing to show.
pub(super) fn empty(title: &str, text: &str, act: &Markup) -> Markup {
    html! { div.empty { h2 { (title) } p { (text) } (act) } }
}
