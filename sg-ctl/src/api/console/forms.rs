//! What forms do: each is one transaction, or comes back with what was typed and what is wrong.

use axum::http::StatusCode;
use sg_policy::model::{Direction, SecurityGroup};

use super::change::{Draft, transact};
use super::create::{self, Typed};
use super::editor::{self, Sheet};
use super::gate::{self, Reply};
use super::look::Notice;
use super::names::Names;
use super::plan::{Pairs, Plan, warnings};
use super::rows::{self, Faults, Row, prefix, reshape, reshape_tags};
use super::{Caller, Console, Scene, details, interfaces, revision, traffic};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::vpc::Store;

/// The direction that an address names.
pub(super) fn direction(text: &str) -> Option<Direction> {
    Direction::ALL.into_iter().find(|each| each.name() == text)
}

/// What was done, for the one who did it.
pub(super) fn done(what: &str, pending: &[&str]) -> String {
    let (said, is_judged) = match what {
        "created" => ("The security group was created.", false),
        "deleted" => ("The security group was deleted.", false),
        "tags" => ("The tags were saved.", false),
        "interface" => ("The groups of the interface were changed.", true),
        _ => ("The rules were saved.", true),
    };
    match pending {
        [] if is_judged => format!("{said} They are in force."),
        hosts if is_judged => format!("{said} Not yet in force on {}.", hosts.join(", ")),
        _ => said.to_owned(),
    }
}

/// To a page that says what was done, and the hosts that do not enforce it yet.
fn done_at(page: &str, pending: &[String]) -> Reply {
    let pending = match pending {
        [] => String::new(),
        hosts => format!("&pending={}", hosts.join(",")),
    };
    Reply::to(&format!("{page}{pending}"))
}

/// The editor as it begins.
pub(super) fn sheet<'s>(
    scene: &'s Scene,
    group: &'s SecurityGroup,
    direction: Direction,
) -> Sheet<'s> {
    Sheet {
        group,
        direction,
        rows: rows::of_group(group, direction, &Names::new(&scene.document)),
        faults: Faults::new(),
        revision: revision(group, direction),
        preview: None,
        notice: (!scene.may_change_group(group)).then(|| {
            Notice::Refused(
                "This group cannot be changed here: a rule file owns it, or your key only reads."
                    .to_owned(),
            )
        }),
    }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Pairs {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
}

impl<S: Store> Console<S> {
    /// Does what a form asks for.
    pub(super) async fn act(
        &self,
        scene: &Scene,
        caller: &Caller,
        segments: &[&str],
        form: &Form,
    ) -> Result<Reply, Refusal> {
        match segments {
            ["groups", "new"] => self.create(scene, caller, form).await,
            ["groups", id, what] => {
                let Some(group) = scene.group(id) else {
                    return Ok(gate::gone(scene, id));
                };
                match *what {
                    "delete" => self.delete(scene, caller, group, form).await,
                    "tags" => self.tags(scene, caller, group, form).await,
                    other => match direction(other) {
                        Some(direction) => self.edit(scene, caller, (group, direction), form).await,
                        None => Ok(gate::not_found(scene)),
                    },
                }
            }
            ["interfaces", id] => self.carry(scene, caller, id, form).await,
            _ => Ok(gate::not_found(scene)),
        }
    }

    async fn create(&self, scene: &Scene, caller: &Caller, form: &Form) -> Result<Reply, Refusal> {
        let mut typed = Typed::of(form)?;
        let again = |typed: &Typed, faults: &Faults, notice| {
            let page = create::page(scene, typed, faults, notice);
            Ok(Reply::page(status(faults), page))
        };
        let step = form.get("step").unwrap_or_default();
        if reshape(step, "in", &mut typed.inbound)
            || reshape(step, "out", &mut typed.outbound)
            || reshape_tags(step, &mut typed.tags)
        {
            return again(&typed, &Faults::new(), None);
        }
        let names = Names::new(&scene.document);
        let mut faults = typed.faults(&names);
        let mut wanted = Vec::new();
        for (direction, rows) in [
            (Direction::Inbound, &typed.inbound),
            (Direction::Outbound, &typed.outbound),
        ] {
            match rows::wishes(rows, direction, &names, Some(scene.client)) {
                Ok(wishes) => wanted.push((direction, wishes)),
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return again(&typed, &faults, None);
        }
        let mut call = pairs([
            ("Action", "CreateSecurityGroup"),
            ("GroupName", &typed.name),
            ("GroupDescription", &typed.description),
        ]);
        if !typed.tags.is_empty() {
            call.push((
                "TagSpecification.1.ResourceType".to_owned(),
                "security-group".to_owned(),
            ));
        }
        for (number, (key, value)) in (1..).zip(&typed.tags) {
            call.push((format!("TagSpecification.1.Tag.{number}.Key"), key.clone()));
            call.push((
                format!("TagSpecification.1.Tag.{number}.Value"),
                value.clone(),
            ));
        }
        let made = transact(
            &self.api,
            caller,
            call.clone(),
            |draft: &mut Draft<'_, S>| {
                draft.call(call.clone())?;
                for (direction, wishes) in &wanted {
                    let before = draft.document.clone();
                    let names = Names::new(&before);
                    let group = &before.model().groups[&typed.name];
                    let plan = Plan::new(group.rules(*direction), wishes.clone());
                    for call in plan.calls(group.id.as_str(), *direction, &names) {
                        draft.call(call)?;
                    }
                }
                Ok(())
            },
        );
        let pending = match made.await {
            Ok(pending) => pending,
            Err(refusal) => {
                let notice = Some(Notice::Refused(refusal.message));
                return again(&typed, &Faults::new(), notice);
            }
        };
        let kept = self.api.rules().await?;
        let group = kept.document.model().groups.get(&typed.name);
        let id = group.map(|group| group.id.to_string()).unwrap_or_default();
        Ok(done_at(&format!("/groups/{id}?done=created"), &pending))
    }

    async fn edit(
        &self,
        scene: &Scene,
        caller: &Caller,
        (group, direction): (&SecurityGroup, Direction),
        form: &Form,
    ) -> Result<Reply, Refusal> {
        let mut sheet = sheet(scene, group, direction);
        sheet.rows = Row::all(form, direction)?;
        let began = form.get("revision").unwrap_or_default().to_owned();
        let step = form.get("step").unwrap_or_default();
        let names = Names::new(&scene.document);
        let is_moved = began != sheet.revision;
        if is_moved {
            sheet.notice = Some(Notice::Refused(format!(
                "Somebody has changed these rules since you opened the page. They are now: {}. What you typed is \
                 below; save again to put it in their place.",
                said(group, direction)
            )));
        }
        if reshape(step, prefix(direction), &mut sheet.rows) {
            sheet.revision = began;
            return Ok(Reply::page(StatusCode::OK, editor::page(scene, sheet)));
        }
        let wishes = match rows::wishes(&sheet.rows, direction, &names, Some(scene.client)) {
            Ok(wishes) => wishes,
            Err(faults) => {
                sheet.faults = faults;
                return Ok(Reply::page(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    editor::page(scene, sheet),
                ));
            }
        };
        if step != "save" || is_moved {
            let quota = scene.document.model().limits.rules_per_group;
            let said = warnings(&wishes, direction, quota, &names);
            let plan = Plan::new(group.rules(direction), wishes);
            let losing = traffic::losing(self.api.paths(), &group.id, plan.lost()).await;
            sheet.preview = Some((plan, said, losing));
            let status = if is_moved {
                StatusCode::CONFLICT
            } else {
                StatusCode::OK
            };
            return Ok(Reply::page(status, editor::page(scene, sheet)));
        }
        let told = pairs([
            ("Action", "EditSecurityGroupRules"),
            ("GroupId", group.id.as_str()),
            ("Direction", direction.name()),
        ]);
        let saved = transact(&self.api, caller, told, |draft: &mut Draft<'_, S>| {
            let before = draft.document.clone();
            let now = before.model().groups.get(&group.name);
            let now = now.filter(|now| revision(now, direction) == began);
            let now = now.ok_or_else(|| {
                Refusal::not_permitted("Somebody has changed these rules just now.")
            })?;
            let names = Names::new(&before);
            let plan = Plan::new(now.rules(direction), wishes.clone());
            for call in plan.calls(now.id.as_str(), direction, &names) {
                draft.call(call)?;
            }
            Ok(())
        });
        match saved.await {
            Ok(pending) => {
                let (id, tab) = (&group.id, direction.name());
                let page = format!("/groups/{id}?tab={tab}&done=saved");
                Ok(done_at(&page, &pending))
            }
            Err(refusal) => {
                sheet.notice = Some(Notice::Refused(refusal.message));
                Ok(Reply::page(
                    StatusCode::CONFLICT,
                    editor::page(scene, sheet),
                ))
            }
        }
    }

    async fn delete(
        &self,
        scene: &Scene,
        caller: &Caller,
        group: &SecurityGroup,
        form: &Form,
    ) -> Result<Reply, Refusal> {
        let again = |text: &str| {
            let page = details::delete(scene, group, Some(Notice::Refused(text.to_owned())));
            Ok(Reply::page(StatusCode::CONFLICT, page))
        };
        if form.get("typed") != Some("delete") {
            return again("Type “delete” to confirm.");
        }
        let call = pairs([
            ("Action", "DeleteSecurityGroup"),
            ("GroupId", group.id.as_str()),
        ]);
        let gone = transact(
            &self.api,
            caller,
            call.clone(),
            |draft: &mut Draft<'_, S>| draft.call(call.clone()),
        );
        match gone.await {
            Ok(pending) => Ok(done_at("/groups?done=deleted", &pending)),
            Err(refusal) => again(&refusal.message),
        }
    }

    async fn tags(
        &self,
        scene: &Scene,
        caller: &Caller,
        group: &SecurityGroup,
        form: &Form,
    ) -> Result<Reply, Refusal> {
        let mut tags = create::tags(form)?;
        let again = |tags: &[(String, String)], faults: &Faults, notice| {
            let page = create::tags_page(scene, group, tags, faults, notice);
            Ok(Reply::page(status(faults), page))
        };
        if reshape_tags(form.get("step").unwrap_or_default(), &mut tags) {
            return again(&tags, &Faults::new(), None);
        }
        let faults = create::tag_faults(&tags);
        if !faults.is_empty() {
            return again(&tags, &faults, None);
        }
        let id = group.id.as_str();
        let saved = transact(
            &self.api,
            caller,
            pairs([("Action", "EditTags"), ("ResourceId.1", id)]),
            |draft: &mut Draft<'_, S>| {
                draft.call(pairs([("Action", "DeleteTags"), ("ResourceId.1", id)]))?;
                let mut call = pairs([("Action", "CreateTags"), ("ResourceId.1", id)]);
                for (number, (key, value)) in (1..).zip(&tags) {
                    call.push((format!("Tag.{number}.Key"), key.clone()));
                    call.push((format!("Tag.{number}.Value"), value.clone()));
                }
                if tags.is_empty() {
                    Ok(())
                } else {
                    draft.call(call)
                }
            },
        );
        match saved.await {
            Ok(pending) => Ok(done_at(
                &format!("/groups/{id}?tab=tags&done=tags"),
                &pending,
            )),
            Err(refusal) => again(&tags, &faults, Some(Notice::Refused(refusal.message))),
        }
    }

    async fn carry(
        &self,
        scene: &Scene,
        caller: &Caller,
        id: &str,
        form: &Form,
    ) -> Result<Reply, Refusal> {
        let mut call = pairs([
            ("Action", "ModifyNetworkInterfaceAttribute"),
            ("NetworkInterfaceId", id),
        ]);
        let chosen = interfaces::chosen(scene, form)?;
        for (number, id) in (1..).zip(&chosen) {
            call.push((format!("SecurityGroupId.{number}"), id.clone()));
        }
        let again = |text: String| {
            let page = interfaces::page(scene, Some(Notice::Refused(text)));
            Ok(Reply::page(StatusCode::CONFLICT, page))
        };
        if chosen.is_empty() {
            return again("An interface carries at least one group.".to_owned());
        }
        let done = transact(
            &self.api,
            caller,
            call.clone(),
            |draft: &mut Draft<'_, S>| draft.call(call.clone()),
        );
        match done.await {
            Ok(pending) => Ok(done_at("/interfaces?done=interface", &pending)),
            Err(refusal) => again(refusal.message),
        }
    }
}

fn status(faults: &Faults) -> StatusCode {
    if faults.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    }
}

/// The rules of one direction in a line.
fn said(group: &SecurityGroup, direction: Direction) -> String {
    let rules = group.rules(direction).iter();
    let words: Vec<_> = rules
        .map(|rule| format!("{} from {}", rule.service, rule.peer))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}
