//! Groups as boxes, references as arrows: who may talk to whom.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use sg_policy::model::{Direction, Peer, SecurityGroup};

use super::look::{Page, empty};
use super::{Query, Scene};

/// Boxes beyond which only a neighbourhood is drawn.
const MOST: usize = 50;
const WIDE: i32 = 190;
const HIGH: i32 = 46;
const ACROSS: i32 = 380;
const DOWN: i32 = 74;

/// An arrow: from whom to whom, what, whether it was hit.
struct Arrow {
    from: String,
    to: String,
    what: String,
    is_hit: bool,
}

/// The page.
pub(super) fn page(scene: &Scene, query: &Query) -> Markup {
    let groups = &scene.document.model().groups;
    let centre = query.get("group");
    let arrows = arrows(scene);
    let mut shown: BTreeSet<String> = arrows
        .iter()
        .flat_map(|arrow| [arrow.from.clone(), arrow.to.clone()])
        .collect();
    if !centre.is_empty() || shown.len() > MOST {
        let centre = groups.values().find(|group| group.id.as_str() == centre);
        let centre = centre.or_else(|| groups.values().max_by_key(|group| group.inbound.len()));
        let centre = centre.map_or("", |group| group.name.as_str());
        let near = arrows
            .iter()
            .filter(|arrow| arrow.from == centre || arrow.to == centre);
        shown = near
            .flat_map(|arrow| [arrow.from.clone(), arrow.to.clone()])
            .take(MOST)
            .collect();
        shown.insert(centre.to_owned());
    }
    let arrows: Vec<_> = arrows
        .into_iter()
        .filter(|arrow| shown.contains(&arrow.from) && shown.contains(&arrow.to))
        .collect();
    let body = html! {
        form.filter method="get" action="/map" {
            label for="group" { "Around" }
            select #group name="group" {
                option value="" { "all groups" }
                @for group in groups.values().take(1000) { option value=(group.id) selected[group.id.as_str() == query.get("group")] { (group.name) } }
            }
            button type="submit" { "Show" }
            span.quiet { "Solid: hit in the last hour. Dashed: not." }
        }
        @if arrows.is_empty() { (empty("No inbound rules", "Arrows stand for inbound rules: from who may talk to whom.", &html! {})) }
        @else { div.scroll { (drawing(scene, &shown, &arrows)) }
            details { summary { "The same as a list" } ul { @for arrow in &arrows { li { bdi { (arrow.from) } " → " bdi { (arrow.to) } ": " (arrow.what) } } } } }
    };
    Page {
        title: "Map",
        place: "/map",
        trail: &[],
        acts: html! {},
        notice: None,
        body,
    }
    .html(scene)
}

fn end(peer: &Peer) -> String {
    match peer {
        Peer::Group(name) => name.clone(),
        Peer::Cidr(net) if net.prefix_len() == 0 => "anywhere".to_owned(),
        other => other.to_string(),
    }
}

fn arrows(scene: &Scene) -> Vec<Arrow> {
    let mut all: BTreeMap<(String, String), (BTreeSet<String>, bool)> = BTreeMap::new();
    for group in scene.document.model().groups.values() {
        for rule in group.rules(Direction::Inbound) {
            let (what, is_hit) = all
                .entry((end(&rule.peer), group.name.clone()))
                .or_default();
            what.insert(rule.service.to_string());
            let last = scene.hits.of(&group.id, &rule.id).and_then(|hit| hit.last);
            *is_hit |= last.is_some_and(|last| last.as_secs() < 3600);
        }
    }
    let arrows = all.into_iter().map(|((from, to), (what, is_hit))| Arrow {
        from,
        to,
        what: what.into_iter().collect::<Vec<_>>().join(", "),
        is_hit,
    });
    arrows.collect()
}

/// How far from the left a box stands: one column behind those that may talk to it.
fn columns(shown: &BTreeSet<String>, arrows: &[Arrow]) -> BTreeMap<String, i32> {
    let mut column: BTreeMap<String, i32> = shown.iter().map(|name| (name.clone(), 0)).collect();
    // References may go in circles: six columns are enough for anybody.
    for _ in 0..6 {
        for arrow in arrows.iter().filter(|arrow| arrow.from != arrow.to) {
            let least = (column[&arrow.from] + 1).min(6);
            if column[&arrow.to] < least
                && let Some(held) = column.get_mut(&arrow.to)
            {
                *held = least;
            }
        }
    }
    column
}

fn drawing(scene: &Scene, shown: &BTreeSet<String>, arrows: &[Arrow]) -> Markup {
    let column = columns(shown, arrows);
    let mut rows = [0; 8];
    let mut places = BTreeMap::new();
    for name in shown {
        let at = column[name];
        let row = &mut rows[usize::try_from(at).unwrap_or_default()];
        places.insert(name.clone(), (20 + at * ACROSS, 20 + *row * DOWN));
        *row += 1;
    }
    let width = 20 + ACROSS * (column.values().max().copied().unwrap_or(0) + 1);
    let height = 40 + DOWN * rows.iter().max().copied().unwrap_or(1);
    html! {
        svg.map viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label="Groups and the references between them; the list below says the same" {
            defs { marker #tip viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" { path d="M0 0 8 4 0 8z" {} } }
            @for arrow in arrows { (line(places[&arrow.from], places[&arrow.to], arrow)) }
            @for (name, (x, y)) in &places { (node(scene.document.model().groups.get(name), name, *x, *y)) }
        }
    }
}

fn line((x1, y1): (i32, i32), (x2, y2): (i32, i32), arrow: &Arrow) -> Markup {
    let (x1, y1, x2, y2) = (x1 + WIDE, y1 + HIGH / 2, x2, y2 + HIGH / 2);
    let bend = if x2 > x1 { (x2 - x1) / 2 } else { 60 };
    let path = if arrow.from == arrow.to {
        let x = x2 + WIDE;
        format!("M{x} {} c34 -10 34 26 2 18", y1 - 8)
    } else {
        format!(
            "M{x1} {y1} C{} {y1} {} {y2} {} {y2}",
            x1 + bend,
            x2 - bend,
            x2 - 2
        )
    };
    // A third of the way along the curve, where arrows to one box and from one box are apart.
    let bezier = |p: [i32; 4]| (p[0] * 296 + p[1] * 444 + p[2] * 222 + p[3] * 37) / 1000;
    let middle = (
        bezier([x1, x1 + bend, x2 - bend, x2]),
        bezier([y1, y1, y2, y2]) - 4,
    );
    let what: String = arrow.what.chars().take(26).collect();
    html! {
        g.arrow.hit[arrow.is_hit] {
            path d=(path) marker-end="url(#tip)" {}
            @if arrow.from != arrow.to { text x=(middle.0) y=(middle.1) text-anchor="middle" { (what) } }
            title { (arrow.from) " → " (arrow.to) ": " (arrow.what) }
        }
    }
}

fn node(group: Option<&SecurityGroup>, name: &str, x: i32, y: i32) -> Markup {
    let short: String = name.chars().take(22).collect();
    let inside = html! {
        rect x=(x) y=(y) width=(WIDE) height=(HIGH) rx="8" {}
        text x=(x + WIDE / 2) y=(y + HIGH / 2 + 5) text-anchor="middle" { (short) }
        title { (name) }
    };
    html! {
        @if let Some(group) = group { a href={ "/groups/" (group.id) } { g.box.group { (inside) } } }
        @else { g.box { (inside) } }
    }
}
