//! Why a packet passes or not: the pipeline's answer in words.

use maud::{Markup, html};
use sg_common::flow::Direction;
use sg_policy::explain::Probe;
use tokio::task::spawn_blocking;

use super::look::{Page, empty};
use super::{Query, Scene, forms};
use crate::host::paths::Paths;
use crate::host::{Explained, Host, HostError};

/// An answer, as data that outlives the host.
struct Answer {
    passes: bool,
    /// Whether what is denied passes all the same.
    audits: bool,
    /// That the packet is not judged, or that others see it first.
    note: Option<String>,
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
    let own = scene.world.own();
    let names = own.map(|each| each.name.as_str());
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
            h2 {
                @if answer.passes { span.badge.done { "passes" } }
                @else if answer.audits { span.badge.gone { "denied, but passes: the interface only audits" } }
                @else { span.badge.gone { "dropped" } }
                " " (answer.reason)
            }
            @if let Some(note) = &answer.note { p.notice.refused role="alert" { (note) } }
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
    Host::open(paths)?.explain(interface, probe, Answer::new)
}

impl Answer {
    fn new(found: &Explained<'_>) -> Self {
        let Explained {
            explanation,
            numbers,
            audits,
            note,
        } = found;
        let rule = numbers.rule(explanation.rule).map(|rule| {
            let words = format!(
                "{} {} {} ({})",
                rule.direction, rule.service, rule.peer, rule.rule_id
            );
            (rule.group.clone(), rule.group_id.to_string(), words)
        });
        let near = explanation.nearest.iter().map(|near| {
            let misses: Vec<_> = near.misses.iter().map(|(_, text)| text.as_str()).collect();
            (
                near.group.name.clone(),
                format!("{} {}", near.rule.service, near.rule.peer),
                misses.join(", "),
            )
        });
        let steps = explanation.steps.iter();
        Self {
            passes: explanation.passes(),
            audits: *audits,
            note: note.clone(),
            reason: explanation.reason.name().to_owned(),
            rule,
            near: near.collect(),
            steps: steps
                .map(|step| (step.step, step.finding.clone()))
                .collect(),
            hints: explanation.hints.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(passes: bool, audits: bool, note: Option<&str>) -> String {
        let answer = Answer {
            passes,
            audits,
            note: note.map(str::to_owned),
            reason: "no-rule".to_owned(),
            rule: None,
            steps: Vec::new(),
            near: Vec::new(),
            hints: Vec::new(),
        };
        shown(&answer).into_string()
    }

    #[test]
    fn nothing_is_said_to_be_dropped_where_nothing_is() {
        assert!(page(false, false, None).contains("dropped"));
        let audited = page(false, true, None);
        assert!(audited.contains("only audits") && !audited.contains("dropped"));
        let unguarded = page(false, false, Some("eth0: no program is attached"));
        assert!(unguarded.contains("no program is attached"));
    }
}
