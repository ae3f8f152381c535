//! What passes and what does not: flows that are alive, packets by reason.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use maud::{Markup, html};
use sg_policy::model::{GroupId, RuleId};
use tokio::task::spawn_blocking;

use super::hits::{ago, bytes};
use super::look::{Page, empty};
use super::{Query, Scene};
use crate::host::paths::Paths;

use crate::host::{Host, HostError, LiveFlow};

/// Flows that are shown.
const MOST: usize = 200;

struct Flow {
    interface: String,
    direction: &'static str,
    protocol: u8,
    remote: String,
    local: String,
    rule: String,
    bytes: u64,
    idle: Duration,
}

#[derive(Default)]
struct Seen {
    flows: Vec<Flow>,
    count: usize,
    reasons: Vec<(String, &'static str, &'static str, bool, u64, u64)>,
    suppressed: u64,
}

/// The page. Its table is asked for again every two seconds by the script.
pub(super) async fn page(scene: &Scene, query: &Query, paths: &Paths) -> Markup {
    let (paths, text) = (paths.clone(), query.get("q").trim().to_lowercase());
    let seen = spawn_blocking(move || look(&paths, &text)).await;
    let body = html! {
        form.filter method="get" action="/traffic" role="search" {
            label for="q" { "Find traffic" }
            input #q type="search" name="q" value=(query.get("q")) placeholder="Address, port, interface or rule" autocomplete="off";
            button type="submit" { "Filter" }
            button type="button" data-pause="" hidden aria-pressed="false" { "Pause" }
            span.quiet data-live="" role="status" {}
        }
        (verdicts())
        div data-poll="/traffic" {
            @match seen {
                Ok(Ok(seen)) => { (shown(&seen)) }
                Ok(Err(error)) => { (empty("Nothing to show", &error.to_string(), &html! {})) }
                Err(_) => { (empty("Nothing to show", "The host was not asked.", &html! {})) }
            }
        }
    };
    Page {
        title: "Traffic",
        place: "/traffic",
        trail: &[],
        acts: html! {},
        notice: None,
        body,
    }
    .html(scene)
}

/// The table that the script fills.
fn verdicts() -> Markup {
    html! {
        section data-stream="/traffic/events" {
            div.heading.small {
                h2 { "Verdicts" }
                div.acts {
                    span.quiet role="status" data-said="" {}
                    label.hide for="verdict" { "Which verdicts" }
                    select #verdict data-which="" { option value="" { "All verdicts" } option value="deny" { "Denied" } option value="allow" { "Allowed" } }
                }
            }
            p.quiet.none data-none="" { "Verdicts are shown as they fall where scripts may run." }
            div.scroll.log hidden data-log="" tabindex="0" role="region" aria-label="Verdicts" { table {
                caption.hide { "Verdicts, the latest first" }
                thead { tr { th scope="col" { "Time (UTC)" } th scope="col" { "Verdict" } th scope="col" { "Reason" } th scope="col" { "Protocol" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Interface" } th scope="col" { "Group" } th scope="col" { span.hide { "Explain" } } } }
                tbody data-lines="" {}
            } }
        }
    }
}

fn shown(seen: &Seen) -> Markup {
    html! {
        h2 { "Packets by reason" }
        @if seen.reasons.is_empty() { p.quiet { "No packet has been judged yet." } }
        @else { div.scroll { table {
            caption.hide { "Packets by reason" }
            thead { tr { th scope="col" { "Verdict" } th scope="col" { "Reason" } th scope="col" { "Interface" } th scope="col" { "Direction" } th.number scope="col" { "Packets" } th.number scope="col" { "Bytes" } } }
            tbody { @for (interface, direction, reason, passes, packets, count) in &seen.reasons { tr {
                td { @if *passes { span.badge.done { "✓ allow" } } @else { span.badge.gone { "✕ deny" } } }
                th scope="row" { (reason) } td { (interface) } td { (direction) } td.number { (packets) } td.number { (bytes(*count)) }
            } } }
        } } }
        @if seen.suppressed > 0 { p.warning { (seen.suppressed) " events were not logged: more came than an interface may log." } }
        h2 { "Flows " span.count { (seen.count) } }
        @if seen.flows.is_empty() { p.quiet { "No flow is alive." } }
        @else { div.scroll { table {
            caption.hide { "Flows that are alive" }
            thead { tr { th scope="col" { "Other side" } th scope="col" { "This side" } th scope="col" { "Protocol" } th scope="col" { "Opened" } th scope="col" { "Interface" } th scope="col" { "Rule" } th.number scope="col" { "Bytes" } th scope="col" { "Last packet" } } }
            tbody { @for flow in &seen.flows { tr {
                th scope="row" { code { (flow.remote) } } td { code { (flow.local) } } td { (protocol(flow.protocol)) } td { (flow.direction) }
                td { (flow.interface) } td { bdi { (flow.rule) } } td.number { (bytes(flow.bytes)) } td { (ago(flow.idle)) }
            } } }
        } }
        @if seen.count > MOST { p.quiet { "The " (MOST) " with the latest packets are shown." } } }
    }
}

/// A protocol's name, or its number.
pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        other => other.to_string(),
    }
}

/// Live flows that a rule admitted which goes or changes.
#[derive(Default)]
pub(super) struct Losing {
    /// How many.
    pub(super) count: usize,
    /// Some of them, the latest first: protocol, other side, this side, interface.
    pub(super) shown: Vec<[String; 4]>,
}

/// Flows that such a preview names.
const NAMED: usize = 8;

/// The live flows of this host that these rules of a group have admitted.
pub(super) async fn losing(paths: &Paths, group: &GroupId, rules: HashSet<RuleId>) -> Losing {
    if rules.is_empty() {
        return Losing::default();
    }
    let (paths, group) = (paths.clone(), group.clone());
    let asked = spawn_blocking(move || {
        let host = Host::open(&paths)?;
        let numbers = host.state()?.numbers;
        let mut flows = host.flows()?;
        flows.retain(|flow| {
            let rule = numbers.rule(flow.entry.rule);
            rule.is_some_and(|rule| rule.group_id == group && rules.contains(&rule.rule_id))
        });
        flows.sort_by_key(|flow| flow.idle);
        let shown = flows.iter().take(NAMED).map(|flow| {
            let [remote, local] = ends(flow);
            [
                protocol(flow.key.protocol()),
                remote,
                local,
                flow.interface.to_string(),
            ]
        });
        Ok::<_, HostError>(Losing {
            count: flows.len(),
            shown: shown.collect(),
        })
    });
    // Without a kernel to ask there are no flows to lose.
    asked.await.ok().and_then(Result::ok).unwrap_or_default()
}

/// The other side of a flow, and this one.
fn ends(flow: &LiveFlow) -> [String; 2] {
    let end = |address: IpAddr, port: u16| match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    };
    let key = &flow.key;
    [
        end(key.remote.into(), key.remote_port()),
        end(key.local.into(), key.local_port()),
    ]
}

fn look(paths: &Paths, text: &str) -> Result<Seen, HostError> {
    let host = Host::open(paths)?;
    let state = host.state()?;
    if state.attachments.is_empty() {
        return Ok(Seen::default());
    }
    let status = host.status()?;
    let mut seen = Seen::default();
    for each in &status.interfaces {
        for reason in &each.reasons {
            let traffic = reason.traffic;
            seen.reasons.push((
                each.name.clone(),
                reason.direction,
                reason.reason,
                reason.passes,
                traffic.packets,
                traffic.bytes,
            ));
        }
        seen.suppressed += each
            .events_suppressed
            .iter()
            .map(|one| one.events)
            .sum::<u64>();
    }
    seen.reasons
        .sort_by_key(|reason| (reason.3, std::cmp::Reverse(reason.4)));
    let flows = host.flows()?.into_iter().map(|flow| {
        let rule = state.numbers.rule(flow.entry.rule);
        let rule = rule.map(|rule| format!("{}: {} {}", rule.group, rule.service, rule.peer));
        let [remote, local] = ends(&flow);
        Flow {
            interface: flow.interface.to_string(),
            direction: flow.entry.opened().name(),
            protocol: flow.key.protocol(),
            remote,
            local,
            rule: rule.unwrap_or_default(),
            bytes: flow.traffic().iter().map(|traffic| traffic.bytes).sum(),
            idle: flow.idle,
        }
    });
    let has = |flow: &Flow| {
        let all = [&flow.remote, &flow.local, &flow.interface, &flow.rule];
        all.into_iter()
            .any(|held| held.to_lowercase().contains(text))
    };
    seen.flows = flows.filter(has).collect();
    seen.flows.sort_by_key(|flow| flow.idle);
    seen.count = seen.flows.len();
    seen.flows.truncate(MOST);
    Ok(seen)
}
