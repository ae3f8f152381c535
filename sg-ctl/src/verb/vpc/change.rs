//! Changes of the rules of a VPC.

use std::process::ExitCode;

use sg_ctl::host::{Changes, Deadline, HostError, SshConnection};
use sg_ctl::vpc::joined::Joined;
use sg_ctl::vpc::{Confirmed, Document, Owned, Store as _, StoreError, Swap};
use sg_policy::model::Model;
use sg_policy::rulefile::Origins;

use crate::failure::refusal;
use crate::verb::output;
use crate::verb::shared::{Context, PENDING};
use crate::verb::vpc::view::VpcApplyView;
use crate::verb::vpc::{block_on, failed, store};
use crate::verb::{apply, rollback};

/// Exit status: hosts were waited for in vain.
const BEHIND: u8 = 2;
/// How often a change is made again when others were faster.
const ATTEMPTS: usize = 5;

/// Changes the rules of a VPC as rule files say.
pub(crate) fn apply(
    args: &apply::Args,
    (model, origins): (Model, Origins),
    joined: Joined,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    if args.keep.keep_ssh {
        return Err(refusal(
            "--keep-ssh is for the rules of one host",
            "add a rule that admits you; with --confirm-within a mistake undoes itself",
        ));
    }
    if !model.interfaces.is_empty() {
        return Err(refusal(
            format!(
                "the rule files have `interfaces`, and this host belongs to the VPC {}",
                joined.vpc
            ),
            "name them under `hosts` as HOST/INTERFACE; or `sg-ctl vpc leave`",
        ));
    }
    let (dry_run, confirm_within) = (args.dry_run, args.trial.confirm_within);
    let (vpc, host) = (joined.vpc.clone(), joined.host.clone());
    let store = store(joined)?;
    let view = block_on(async {
        for _ in 0..ATTEMPTS {
            let kept = store.load().await?;
            let document = kept.document.with_files(model.clone(), origins.clone())?;
            let changes = Changes::between(kept.document.model(), document.model());
            let is_new = *kept.document != document;
            let mut view = VpcApplyView {
                vpc: vpc.clone(),
                applied: !dry_run,
                changed: is_new,
                revision: kept.revision,
                changes,
                deadline: None,
                behind: None,
                notes: notes(context, document.on_host(&host)),
            };
            if dry_run {
                return Ok(Some(view));
            }
            if is_new || kept.revision == 0 {
                let put = store.put(kept.revision, document, confirm_within);
                match put.await {
                    Ok(revision) => {
                        view.revision = revision;
                        view.deadline = confirm_within.map(|after| Deadline::In(after).into());
                    }
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            if let Some(patience) = args.wait {
                view.behind = Some(store.behind(view.revision, patience).await?);
            }
            return Ok(Some(view));
        }
        Ok(None)
    })?
    .map_err(failed)?;
    let Some(view) = view else {
        return Err(refusal("others change the rules all the time", "try again"));
    };
    output::print_with_notes(&view, &view.notes, args.format.json)?;
    Ok(match &view.behind {
        _ if dry_run && view.changed => ExitCode::from(PENDING),
        Some(behind) if !behind.is_empty() => ExitCode::from(BEHIND),
        _ => ExitCode::SUCCESS,
    })
}

/// What whoever changes the rules over SSH should know of what they come to on this host.
fn notes(context: &Context, own: Document) -> Vec<String> {
    let Some(ssh) = SshConnection::current() else {
        return Vec::new();
    };
    let checked = context
        .host()
        .and_then(|mut host| host.check(own, Some(ssh)));
    let note = |error: HostError| {
        format!(
            "on this host: {error}. With --confirm-within the old rules come back unless you confirm"
        )
    };
    checked.err().map(note).into_iter().collect()
}

/// Hands over to rule files what the API owns in a VPC.
pub(crate) fn adopt(names: &[(Owned, String)], joined: Joined) -> anyhow::Result<()> {
    let store = store(joined)?;
    let adopted = block_on(async {
        for _ in 0..ATTEMPTS {
            let kept = store.load().await?;
            let mut document = (*kept.document).clone();
            for (what, name) in names {
                document.adopt(*what, name)?;
            }
            let swap = Swap {
                from: kept.revision,
                document,
                way_in: None,
            };
            match store.swap(swap).await {
                Err(StoreError::Conflict { .. }) => {}
                result => return result.map(Some),
            }
        }
        Ok(None)
    })?;
    match adopted.map_err(failed)? {
        Some(_) => Ok(()),
        None => Err(refusal("others change the rules all the time", "try again")),
    }
}

/// Keeps the rules of a VPC that are on trial; `None` when none are.
pub(crate) fn confirm(joined: Joined) -> anyhow::Result<Option<u64>> {
    let store = store(joined)?;
    match block_on(store.confirm())?.map_err(failed)? {
        Confirmed::Kept(revision) => Ok(Some(revision)),
        Confirmed::Nothing => Ok(None),
        Confirmed::TooLate => Err(refusal(
            "too late: the rules of the VPC were not confirmed in time, and those before are in force",
            "make the change once more, and confirm that",
        )),
    }
}

/// Returns the VPC to the rules before the last change.
pub(crate) fn rollback(
    args: &rollback::Args,
    joined: Joined,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let (vpc, host) = (joined.vpc.clone(), joined.host.clone());
    let store = store(joined)?;
    let view = block_on(async {
        let Some(previous) = store.previous().await? else {
            return Ok(None);
        };
        // Whatever there is now: it may be damaged.
        let now = store.load().await.ok();
        let empty = Model::new();
        let before = now.as_ref().map_or(&empty, |kept| kept.document.model());
        let changes = Changes::between(before, previous.model());
        let is_dry = args.dry_run.dry_run;
        let confirm_within = args.trial.confirm_within.filter(|_| !is_dry);
        let notes = notes(context, previous.on_host(&host));
        let revision = match &now {
            Some(kept) if is_dry => kept.revision,
            _ if is_dry => 0,
            _ => store.replace(previous, confirm_within).await?,
        };
        Ok::<_, StoreError>(Some(VpcApplyView {
            vpc,
            applied: !is_dry,
            changed: !changes.is_empty(),
            revision,
            changes,
            deadline: confirm_within.map(|after| Deadline::In(after).into()),
            behind: None,
            notes,
        }))
    })?
    .map_err(failed)?;
    let Some(view) = view else {
        return Err(refusal(
            "there are no rules to return to",
            "the rules have not changed yet",
        ));
    };
    output::print_with_notes(&view, &view.notes, args.format.json)?;
    Ok(if !view.applied && view.changed {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}
