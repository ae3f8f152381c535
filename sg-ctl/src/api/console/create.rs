//! The page that makes a group: details, rules, tags, all at once.

use std::collections::BTreeMap;

use maud::{Markup, html};
use sg_policy::model::{Direction, Family};

use super::Scene;
use super::editor::{fields, suggestions, sum};
use super::look::{Notice, Page, csrf, of_group};
use super::names::Names;
use super::rows::{Faults, Row};
use crate::api::form::Form;
use crate::api::refusal::Refusal;

/// What was typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) inbound: Vec<Row>,
    pub(super) outbound: Vec<Row>,
    pub(super) tags: Vec<(String, String)>,
}

impl Typed {
    /// What the page begins with: everything may go out.
    pub(super) fn new() -> Self {
        let any = [("any4", Family::V4), ("any6", Family::V6)];
        let rows = (1..).zip(any).map(|(number, (origin, family))| Row {
            kind: "All traffic".to_owned(),
            origin: origin.to_owned(),
            source: family.everything().to_string(),
            ..Row::new(number)
        });
        Self {
            outbound: rows.collect(),
            ..Self::default()
        }
    }

    /// What a form holds.
    pub(super) fn of(form: &Form) -> Result<Self, Refusal> {
        let field = |key| form.get(key).unwrap_or_default().trim().to_owned();
        Ok(Self {
            name: field("name"),
            description: field("description"),
            inbound: Row::all(form, Direction::Inbound)?,
            outbound: Row::all(form, Direction::Outbound)?,
            tags: tags(form)?,
        })
    }

    /// What is wrong with name, description and tags.
    pub(super) fn faults(&self, names: &Names<'_>) -> Faults {
        let mut faults = BTreeMap::new();
        let mut fault = |field: &str, text: &str| {
            faults.insert(field.to_owned(), text.to_owned());
        };
        for (field, text) in [("name", &self.name), ("description", &self.description)] {
            if text.is_empty() {
                fault(field, &format!("Give a {field}."));
            } else if text.chars().count() > 255 {
                fault(field, &format!("A {field} has at most 255 characters."));
            } else if !text.chars().all(sg_policy::model::text::is_allowed) {
                fault(
                    field,
                    "Only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed.",
                );
            }
        }
        if self.name.starts_with("sg-") {
            fault("name", "Names may not begin with “sg-”: ids do.");
        }
        let mut groups = names.model.groups.keys();
        if groups.any(|name| name.eq_ignore_ascii_case(&self.name)) {
            fault("name", "There is a group of this name already.");
        }
        faults.extend(tag_faults(&self.tags));
        faults
    }
}

/// The tags of a form; rows that are empty say nothing.
pub(super) fn tags(form: &Form) -> Result<Vec<(String, String)>, Refusal> {
    let parts = form.parts("tag")?.into_iter();
    let pairs = parts.map(|part| {
        let field = |key| part.get(key).unwrap_or_default().trim().to_owned();
        (field("key"), field("value"))
    });
    Ok(pairs
        .filter(|(key, value)| !key.is_empty() || !value.is_empty())
        .collect())
}

/// What is wrong with tags.
pub(super) fn tag_faults(tags: &[(String, String)]) -> Faults {
    let mut faults = Faults::new();
    for (number, (key, _)) in (1..).zip(tags) {
        let twin = tags.iter().take(number - 1).any(|(other, _)| other == key);
        let text = match key.to_lowercase() {
            lower if lower.is_empty() => "Give the tag a key.",
            lower if lower.starts_with("aws:") || lower.starts_with("sg:") => {
                "Keys may not begin with “aws:” or “sg:”."
            }
            _ if twin => "There is a tag with this key already.",
            _ => continue,
        };
        faults.insert(format!("tag.{number}.key"), text.to_owned());
    }
    faults
}

/// The page.
pub(super) fn page(
    scene: &Scene,
    typed: &Typed,
    faults: &Faults,
    notice: Option<Notice>,
) -> Markup {
    let names = Names::new(&scene.document);
    let body = html! {
        (sum(faults))
        form.editor method="post" action="/groups/new" data-mine=(scene.client) {
            (csrf(scene))
            button.hide type="submit" name="step" value="save" tabindex="-1" aria-hidden="true" {}
            section.card {
                h2 { "Basic details" }
                (text_field("name", "Security group name", &typed.name, "web-servers", faults))
                (text_field("description", "Description", &typed.description, "Lets visitors reach the web servers", faults))
                p.quiet { "VPC " code { (scene.world.place.vpc_id()) } }
            }
            section.card { h2 { "Inbound rules" } (fields(&typed.inbound, Direction::Inbound, faults)) }
            section.card { h2 { "Outbound rules" } (fields(&typed.outbound, Direction::Outbound, faults)) }
            section.card { h2 { "Tags" } (tag_fields(&typed.tags, faults)) }
            div.acts.end {
                a.button href="/groups" { "Cancel" }
                button.primary type="submit" name="step" value="save" { "Create security group" }
            }
        }
        (suggestions(&names))
    };
    Page {
        title: "Create security group",
        place: "/groups",
        trail: &[("/groups".to_owned(), "Security groups".to_owned())],
        acts: html! {},
        notice,
        body,
    }
    .html(scene)
}

fn text_field(id: &str, label: &str, value: &str, example: &str, faults: &Faults) -> Markup {
    let fault = faults.get(id);
    let about = format!("{id}-fault");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(id) value=(value) maxlength="255" placeholder=(example) autocomplete="off" data-count=""
                aria-required="true" aria-invalid=[fault.map(|_| "true")] aria-describedby=[fault.map(|_| &about)];
            @if let Some(fault) = fault { p.fault id=(about) { (fault) } }
        }
    }
}

/// The rows of tags.
pub(super) fn tag_fields(tags: &[(String, String)], faults: &Faults) -> Markup {
    html! {
        div.rows data-rows="tag" {
            @for (number, (key, value)) in (1..).zip(tags) { (tag(number, key, value, faults)) }
        }
        p.quiet.none { "No tags." }
        button type="submit" name="step" value="add-tag" data-add="tag" formnovalidate { "Add tag" }
        template data-row="tag" { (tag(0, "", "", &Faults::new())) }
    }
}

fn tag(number: u32, key: &str, value: &str, faults: &Faults) -> Markup {
    let ids = [format!("tag.{number}.key"), format!("tag.{number}.value")];
    let fault = faults.get(&ids[0]);
    html! {
        fieldset.row.tag data-number=(number) {
            legend { "tag " span.nth { (number) } }
            div.field {
                label for=(ids[0]) { "Key" span.hide { ", tag " span.nth { (number) } } }
                input id=(ids[0]) name=(ids[0]) value=(key) maxlength="128" autocomplete="off" aria-invalid=[fault.map(|_| "true")];
                @if let Some(fault) = fault { p.fault { (fault) } }
            }
            div.field {
                label for=(ids[1]) { "Value" span.hide { ", tag " span.nth { (number) } } }
                input id=(ids[1]) name=(ids[1]) value=(value) maxlength="256" autocomplete="off";
            }
            button.remove type="submit" name="step" value={ "drop-tag." (number) } data-remove="" formnovalidate
                aria-label={ "Delete tag " (number) } { "Delete" }
        }
    }
}

/// The page that changes the tags of a group.
pub(super) fn tags_page(
    scene: &Scene,
    group: &sg_policy::model::SecurityGroup,
    tags: &[(String, String)],
    faults: &Faults,
    notice: Option<Notice>,
) -> Markup {
    let body = html! {
        (sum(faults))
        form.editor method="post" action={ "/groups/" (group.id) "/tags" } {
            (csrf(scene))
            button.hide type="submit" name="step" value="save" tabindex="-1" aria-hidden="true" {}
            section.card { (tag_fields(tags, faults)) }
            div.acts.end {
                a.button href={ "/groups/" (group.id) "?tab=tags" } { "Cancel" }
                button.primary type="submit" name="step" value="save" { "Save tags" }
            }
        }
    };
    of_group(scene, "Edit tags", group, notice, body)
}
