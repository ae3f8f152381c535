//! The rule editor: rows to change, and what a change would do.

use maud::{Markup, html};
use sg_policy::model::{Direction, SecurityGroup};
use sg_policy::rulefile::console_types;

use super::Scene;
use super::details::source;
use super::look::{Notice, csrf, of_group};
use super::names::Names;
use super::plan::Plan;
use super::rows::{Faults, ORIGINS, Row, kind_of, prefix};
use super::traffic::Losing;

/// The fields of one direction: its rows, a button for more, what rows are made of.
pub(super) fn fields(rows: &[Row], direction: Direction, faults: &Faults) -> Markup {
    let side = prefix(direction);
    html! {
        div.rows data-rows=(side) {
            @for row in rows { (fieldset(row, direction, faults)) }
        }
        p.quiet.none { "No rules: nothing is allowed in this direction." }
        button type="submit" name="step" value={ "add-" (side) } data-add=(side) formnovalidate { "Add rule" }
        template data-row=(side) { (fieldset(&Row { number: 0, ..Row::new(0) }, direction, &Faults::new())) }
    }
}

fn end(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "Source",
        Direction::Outbound => "Destination",
    }
}

fn fieldset(row: &Row, direction: Direction, faults: &Faults) -> Markup {
    let settled = console_types()
        .find(|(name, _)| *name == row.kind)
        .and_then(|(_, service)| service);
    let (protocol, ports) = match settled {
        Some(service) => (super::rows::protocol_text(service), service.ports_text()),
        None => (open_protocol(row), row.ports.clone()),
    };
    let number = row.number;
    let is_any = matches!(row.origin.as_str(), "any4" | "any6");
    let any = if row.origin == "any6" {
        "::/0"
    } else {
        "0.0.0.0/0"
    };
    html! {
        fieldset.row data-number=(number) {
            legend { (direction.name()) " rule " span.nth { (number) } }
            input type="hidden" name=(row.field(direction, "id")) value=(row.id);
            (field(row, direction, faults, ("type", "Type"), &|id, about| html! {
                select id=(id) name=(id) aria-describedby=[about] data-type="" {
                    @for (name, service) in console_types() {
                        option value=(name) selected[name == row.kind]
                            data-protocol=[service.map(super::rows::protocol_text)]
                            data-ports=[service.map(sg_policy::model::Service::ports_text)] { (name) }
                    }
                }
            }))
            (field(row, direction, faults, ("protocol", "Protocol"), &|id, about| html! {
                input id=(id) name=(id) value=(protocol) aria-describedby=[about] readonly[row.kind != "Custom Protocol"] autocomplete="off";
            }))
            (field(row, direction, faults, ("ports", "Port range"), &|id, about| html! {
                input id=(id) name=(id) value=(ports) aria-describedby=[about] aria-invalid=[about.map(|_| "true")]
                    readonly[settled.is_some() || row.kind == "Custom Protocol"] placeholder="443 or 8000-8100" autocomplete="off";
            }))
            (field(row, direction, faults, ("origin", &format!("{} type", end(direction))), &|id, about| html! {
                select id=(id) name=(id) aria-describedby=[about] data-origin="" {
                    @for (value, name) in ORIGINS { option value=(value) selected[value == row.origin] { (name) } }
                }
            }))
            (field(row, direction, faults, ("source", end(direction)), &|id, about| html! {
                input id=(id) name=(id) value=(if is_any { any } else { &row.source }) list="sources" aria-describedby=[about]
                    aria-invalid=[about.map(|_| "true")] readonly[is_any] placeholder="10.0.0.0/24, sg-… or name" autocomplete="off" spellcheck="false";
                span.known data-known="" {}
            }))
            (field(row, direction, faults, ("text", "Description"), &|id, about| html! {
                input id=(id) name=(id) value=(row.text) maxlength="255" aria-describedby=[about] placeholder="Optional" autocomplete="off";
            }))
            button.remove type="submit" name="step" value={ "drop-" (prefix(direction)) "." (number) } data-remove="" formnovalidate
                aria-label={ "Delete " (direction.name()) " rule " (number) } { "Delete" }
        }
    }
}

fn open_protocol(row: &Row) -> String {
    match row.kind.as_str() {
        "Custom TCP" => "TCP".to_owned(),
        "Custom UDP" => "UDP".to_owned(),
        "Custom ICMP - IPv4" => "ICMP".to_owned(),
        "Custom ICMP - IPv6" => "ICMPv6".to_owned(),
        _ => row.protocol.clone(),
    }
}

fn field(
    row: &Row,
    direction: Direction,
    faults: &Faults,
    (key, label): (&str, &str),
    input: &dyn Fn(&str, Option<&str>) -> Markup,
) -> Markup {
    let id = row.field(direction, key);
    let fault = faults.get(&id);
    let about = format!("{id}-fault");
    html! {
        div class={ "field " (key) } {
            label for=(id) { (label) span.hide { ", " (direction.name()) " rule " span.nth { (row.number) } } }
            (input(&id, fault.map(|_| about.as_str())))
            @if let Some(fault) = fault { p.fault id=(about) { (fault) } }
        }
    }
}

/// What the source fields suggest.
pub(super) fn suggestions(names: &Names<'_>) -> Markup {
    html! {
        datalist #sources {
            @for group in names.model.groups.values() { option value=(group.id) { (group.name) } }
            @for (id, name) in names.lists() { option value=(id) { (name) } }
        }
    }
}

/// What is wrong, with links to the fields.
pub(super) fn sum(faults: &Faults) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.notice.refused role="alert" tabindex="-1" data-focus="" {
                strong { (faults.len()) @if faults.len() == 1 { " field needs" } @else { " fields need" } " another look" }
                ul { @for (field, text) in faults { li { a href={ "#" (field) } { (text) } } } }
            }
        }
    }
}

/// What a page of the editor shows.
pub(super) struct Sheet<'s> {
    /// The group, as it is now.
    pub(super) group: &'s SecurityGroup,
    /// Which of its rules.
    pub(super) direction: Direction,
    /// The rows as they were typed.
    pub(super) rows: Vec<Row>,
    /// What is wrong with them.
    pub(super) faults: Faults,
    /// The revision of the group that the rows began with.
    pub(super) revision: String,
    /// What would be done, if that was asked for.
    pub(super) preview: Option<(Plan<'s>, Vec<String>, Losing)>,
    /// What is to be said on top.
    pub(super) notice: Option<Notice>,
}

/// The page.
pub(super) fn page(scene: &Scene, sheet: Sheet<'_>) -> Markup {
    let Sheet {
        group, direction, ..
    } = sheet;
    let names = Names::new(&scene.document);
    let at = format!("/groups/{}/{}", group.id, direction.name());
    let title = format!("Edit {} rules", direction.name());
    let body = html! {
        (sum(&sheet.faults))
        p.lead {
            @match direction {
                Direction::Inbound => { "Inbound rules say which traffic may come in. Everything else is dropped; answers always pass." }
                Direction::Outbound => { "Outbound rules say which traffic may go out. Everything else is dropped; answers always pass." }
            }
        }
        form.editor method="post" action=(at) data-mine=(scene.client) {
            (csrf(scene))
            input type="hidden" name="revision" value=(sheet.revision);
            // The first button is what Enter presses.
            button.hide type="submit" name="step" value="preview" tabindex="-1" aria-hidden="true" {}
            (fields(&sheet.rows, direction, &sheet.faults))
            @if let Some((plan, warnings, losing)) = &sheet.preview { (preview(plan, warnings, losing, &names)) }
            div.acts.end {
                a.button href={ "/groups/" (group.id) "?tab=" (direction.name()) } { "Cancel" }
                button type="submit" name="step" value="preview" { "Preview" }
                button.primary type="submit" name="step" value="save" { "Save rules" }
            }
        }
        (suggestions(&names))
    };
    of_group(scene, &title, group, sheet.notice, body)
}

fn preview(plan: &Plan<'_>, warnings: &[String], losing: &Losing, names: &Names<'_>) -> Markup {
    html! {
        section.preview aria-label="Preview" tabindex="-1" data-focus="" {
            h2 { "Preview" }
            @if plan.is_empty() { p { "Nothing would change." } }
            ul.diff {
                @for rule in &plan.remove { li.gone { strong { "Removed" } " " (kind_of(rule.service)) " " (rule.service.ports_text()) " " (source(names, &rule.peer)) code { (rule.id) } } }
                @for (rule, wish) in &plan.change {
                    li.changed { strong { "Changed" } " "
                        (kind_of(rule.service)) " " (rule.service.ports_text()) " " (source(names, &rule.peer)) " → "
                        (kind_of(wish.service)) " " (wish.service.ports_text()) " " (source(names, &wish.peer))
                        @if rule.description != wish.text { " “" bdi { (wish.text) } "”" }
                        code { (rule.id) } }
                }
                @for wish in &plan.add { li.new { strong { "Added" } " " (kind_of(wish.service)) " " (wish.service.ports_text()) " " (source(names, &wish.peer)) " " bdi { (wish.text) } } }
            }
            p.quiet { (plan.same) " unchanged. Saving is one transaction: all of it is in force together." }
            (lost(losing))
            @for row in &plan.twins { p.warning { "Rule " (row) " says what another rule says already; it is left out." } }
            @for warning in warnings { p.warning { (warning) } }
        }
    }
}

fn lost(losing: &Losing) -> Markup {
    html! {
        @if losing.count > 0 {
            div.warning {
                p { (losing.count) @if losing.count == 1 { " live flow loses its rule" } @else { " live flows lose their rule" }
                    ". What is open goes on until it ends; what is opened anew needs a rule." }
                ul.flows { @for [protocol, remote, local, interface] in &losing.shown {
                    li { (protocol) " " code { (remote) } " – " code { (local) } " on " (interface) }
                } }
                @if losing.count > losing.shown.len() { p { "and " (losing.count - losing.shown.len()) " more." } }
            }
        }
    }
}
