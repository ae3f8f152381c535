//! Why a packet passes or not: the pipeline's answer in words.

use std::collections::HashMap;

use maud::{Markup, html};
use sg_common::flow::{Direction, FlowEntry, FlowKey};
use sg_policy::explain::{LiveFlows, Place, Probe, explain};
use tokio::task::spawn_blocking;

use super::look::{Page, empty};
use super::{Query, Scene, forms};
use crate::host::paths::Paths;
use crate::host::{Host, HostError};

/// An answer, as data that outlives the host.
struct Answer {
    passes: bool,
    reason: String,
    rule: Option<(String, String, String)>,
    steps: Vec<(&'static str, String)>,
    near: Vec<(String, String, String)>,
    hints: Vec<String>,
}

/// The page: a form, and the answer if it was asked.
pub(super) async fn page(scene: &Scene, query: &Query, paths: &Paths) -> Markup {
    let answer = if query.get("remote").is_empty() {
        None
    } else {
        Some(answer(query, paths.clone()).await)
    };
    let names = scene.world.interfaces.iter().map(|each| each.name.as_str());
    let names: Vec<_> = names.collect();
    let body = html! {
        p.lead { "Ask what becomes of a packet, by the rules in force and the flows that are alive." }
        @if names.is_empty() { (empty("No interface is guarded", "Every packet passes.", &html! {})) }
        @else { (form(query, &names)) }
        @match answer {
            None => {}
            Some(Err(text)) => { div.notice.refused role="alert" { (text) } }
            Some(Ok(answer)) => { (shown(&answer)) }
        }
    };
    Page {
        title: "Why?",
        place: "/why",
        trail: &[],
        acts: html! {},
        notice: None,
        body,
    }
    .html(scene)
}

fn form(query: &Query, names: &[&str]) -> Markup {
    let select = |id: &str, label: &str, options: &[&str]| {
        html! {
            div.field { label for=(id) { (label) }
                select id=(id) name=(id) { @for each in options { option value=(each) selected[*each == query.get(id)] { (each) } } } }
        }
    };
    let input = |id: &str, label: &str, example: &str| {
        html! {
            div.field { label for=(id) { (label) }
                input id=(id) name=(id) value=(query.get(id)) placeholder=(example) autocomplete="off" spellcheck="false"; }
        }
    };
    html! {
        form.card.ask method="get" action="/why" {
            (select("interface", "Interface", names))
            (select("direction", "Direction", &["inbound", "outbound"]))
            (select("protocol", "Protocol", &["tcp", "udp", "icmp", "icmpv6"]))
            (input("remote", "Other side", "203.0.113.7 or 203.0.113.7:40000"))
            (input("port", "This side: port", "443"))
            button.primary type="submit" { "Explain" }
        }
    }
}

fn shown(answer: &Answer) -> Markup {
    html! {
        section.card.answer aria-live="polite" {
            h2 { @if answer.passes { span.badge.done { "passes" } } @else { span.badge.gone { "dropped" } } " " (answer.reason) }
            @if let Some((group, id, words)) = &answer.rule { p { "Rule of " a href={ "/groups/" (id) } { bdi { (group) } } ": " (words) } }
            ol.steps { @for (step, finding) in &answer.steps { li { strong { (step) } " " (finding) } } }
            @if !answer.near.is_empty() {
                h3 { "Nearest rules" }
                ul { @for (group, words, misses) in &answer.near { li { bdi { (group) } ": " (words) " – " (misses) } } }
            }
            @for hint in &answer.hints { p.quiet { (hint) } }
        }
    }
}

async fn answer(query: &Query, paths: Paths) -> Result<Answer, String> {
    let direction = forms::direction(query.get("direction")).unwrap_or(Direction::Inbound);
    let (remote, local) = (query.get("remote").trim(), query.get("port").trim());
    let mut words = vec![query.get("protocol")];
    match direction {
        Direction::Inbound => words.extend([remote, local]),
        Direction::Outbound => words.extend([local, remote]),
    }
    words.retain(|word| !word.is_empty());
    let probe =
        Probe::parse(direction, &words).map_err(|error| format!("{error}: {}", error.help()))?;
    let interface = query.get("interface").to_owned();
    let asked = spawn_blocking(move || ask(&paths, &interface, &probe));
    match asked.await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(ended) => Err(ended.to_string()),
    }
}

fn ask(paths: &Paths, interface: &str, probe: &Probe) -> Result<Answer, HostError> {
    let host = Host::open(paths)?;
    let state = host.state()?;
    let Some(record) = state.attachments.get(interface) else {
        return Err(HostError::not_attached(interface, &state));
    };
    let clock = host.dataplane().clock()?;
    let (model, zones) = host.zone_policies(&state)?;
    let place = Place {
        model: &model,
        zones,
        zone: record.zone,
        settings: host.dataplane().settings_in_force(record.zone)?,
        hz: clock.hz,
        now: clock.now,
        isolated: record.isolated.is_some(),
    };
    let flows: HashMap<FlowKey, FlowEntry> = host
        .flows()?
        .into_iter()
        .map(|flow| (flow.key, flow.entry))
        .collect();
    let live = LiveFlows {
        flow: &|key: &FlowKey| flows.get(key).copied(),
        has_room: &|key: &FlowKey| host.has_room(key).unwrap_or(true),
    };
    let mut numbers = state.numbers.clone();
    let found = explain(&place, probe, &mut numbers, Some(&live))?;
    let rule = numbers.rule(found.rule).map(|rule| {
        let words = format!(
            "{} {} {} ({})",
            rule.direction, rule.service, rule.peer, rule.rule_id
        );
        (rule.group.clone(), rule.group_id.to_string(), words)
    });
    let near = found.nearest.iter().map(|near| {
        let misses: Vec<_> = near.misses.iter().map(|(_, text)| text.as_str()).collect();
        (
            near.group.name.clone(),
            format!("{} {}", near.rule.service, near.rule.peer),
            misses.join(", "),
        )
    });
    Ok(Answer {
        passes: found.passes(),
        reason: found.reason.name().to_owned(),
        rule,
        near: near.collect(),
        steps: found
            .steps
            .into_iter()
            .map(|step| (step.step, step.finding))
            .collect(),
        hints: found.hints,
    })
}
