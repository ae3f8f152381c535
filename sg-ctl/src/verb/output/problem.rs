//! What of `status` is not as it should be, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::{Deadline, InterfaceStatus, Status};

use crate::verb::output::state::State;
use crate::verb::output::time::span;

/// Something that is not as it should be.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    pub(crate) interface: Option<&'a str>,
    pub(crate) text: String,
}

/// Everything that is not as it should be.
pub(crate) fn problems(status: &Status) -> Vec<Problem<'_>> {
    let mut problems = Vec::new();
    let mut add = |interface, text: String| problems.push(Problem { interface, text });
    if status.pending && !status.under_way {
        add(
            None,
            "a change was interrupted: the next command that changes something \
             finishes it or takes it back"
                .to_owned(),
        );
    }
    for layout in &status.other_layouts {
        add(
            None,
            format!(
                "interfaces are attached with another layout of the maps ({layout}), by another \
                 sg-ctl: `sg-ctl upgrade` moves them to this one's"
            ),
        );
    }
    for interface in &status.interfaces {
        let name = Some(interface.name.as_str());
        match State::of(interface) {
            // What replaced it is told below.
            State::Enforcing | State::Replaced => {}
            State::Auditing => add(
                name,
                format!(
                    "only audits: nothing is dropped; `sg-ctl mode {} enforce` ends that",
                    interface.name
                ),
            ),
            State::Isolated => add(
                name,
                format!(
                    "isolated: nothing passes but infrastructure; `sg-ctl isolate {} --release` \
                     ends that",
                    interface.name
                ),
            ),
            State::Preempted
            | State::HalfAttached
            | State::Unreachable
            | State::NotAttached
            | State::Missing => {
                let fault = interface.guard.fault().unwrap_or_default();
                let remedy = interface.guard.remedy(&interface.name);
                add(
                    name,
                    [Some(fault), remedy]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join("; "),
                );
            }
        }
        if let Some(Deadline::In(time)) = interface.deadline {
            add(
                name,
                format!(
                    "its last change is undone in {}, unless you run `sg-ctl confirm`",
                    span(time)
                ),
            );
        }
        if interface.deadline == Some(Deadline::Passed) {
            add(
                name,
                "its last change was not confirmed in time: what was before is in force".to_owned(),
            );
        }
        if let Some(renamed) = &interface.renamed {
            let other = if renamed.is_replaced {
                " The interface that is called so now is not guarded."
            } else {
                ""
            };
            add(
                name,
                format!(
                    "is called {now} now, and rules and commands still know it by the name that \
                     it was attached by.{other} To end that: `sg-ctl detach {was}`, then `sg-ctl \
                     attach {now}`",
                    now = renamed.to,
                    was = interface.name
                ),
            );
        }
        if !interface.recorded {
            add(
                name,
                "attached, but the state does not know it: detach and attach it".to_owned(),
            );
        }
        if interface.is_guarded() && interface.build.as_ref() != Some(&status.build) {
            let build = interface.build.as_deref().unwrap_or("unknown");
            add(
                name,
                format!(
                    "its programs are those of another sg-ctl ({build}); `sg-ctl upgrade` replaces \
                     them by those of this one ({}), without a gap",
                    status.build
                ),
            );
        }
    }
    match &status.image {
        _ if status.pending => {}
        Some(image) if image.generation != status.generation => add(
            None,
            format!(
                "the kernel enforces policy {}, the state says {}: apply the rules again",
                image.generation, status.generation
            ),
        ),
        None if status.interfaces.iter().any(InterfaceStatus::is_guarded) => {
            add(
                None,
                "no policy is in force: everything is dropped".to_owned(),
            );
        }
        _ => {}
    }
    if let Some(table) = &status.occupancy {
        let told = [table.nearly_full(), table.refusals(table.refused)];
        for text in told.into_iter().flatten() {
            add(None, text);
        }
    }
    let wanted = status.flow_table_wanted;
    if let Some(table) = status.flow_table.filter(|table| *table != wanted) {
        add(
            None,
            format!(
                "the flow table has room for {} flows, the rules ask for {}: it is made anew when \
                 everything is detached and attached again",
                table.flows, wanted.flows
            ),
        );
    }
    for interface in &status.not_attached {
        add(
            Some(interface),
            format!("named by the rules, but not attached: `sg-ctl attach {interface}`"),
        );
    }
    problems
}
