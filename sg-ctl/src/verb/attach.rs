//! `sg-ctl attach`.

use std::process::ExitCode;

use sg_ctl::host::AttachRequest;
use sg_ctl::host::state::Overrides;
use sg_policy::model::Model;

use crate::failure::refusal;
use crate::verb::AttachArgs;
use crate::verb::output::change::AttachView;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, rule_files, way_in};

/// Guards an interface.
pub(crate) fn run(args: AttachArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let rules = if args.files.is_empty() {
        None
    } else {
        if context.vpc()?.is_some() {
            return Err(refusal(
                "this host belongs to a VPC, whose rules are for all of its hosts",
                "`sg-ctl apply -f …` changes them; attach without -f",
            ));
        }
        let rules = rule_files::rules(&args.files)?;
        rule_files::check_is_of_one_host(&rules.0)?;
        Some(rules)
    };
    let by_default = rules
        .as_ref()
        .filter(|_| args.groups.is_empty())
        .and_then(|(model, _)| carries_default(&args.interface, model));
    let request = AttachRequest {
        interface: args.interface,
        by_pattern: false,
        overrides: Overrides {
            groups: (!args.groups.is_empty()).then_some(args.groups),
            addresses: (!args.addresses.is_empty()).then(|| args.addresses.into_iter().collect()),
            side: args.side.map(Into::into),
            hook: args.hook.map(Into::into),
            audit: args.audit.then_some(true),
            log: args.log.map(Into::into),
            flow_share: args.flow_share,
        },
        rules,
        confirm_within: args.trial.confirm_within,
        way_in: way_in(args.keep),
    };
    let summary = context.host()?.attach(request)?;
    if let Some(warning) = by_default {
        note(warning);
    }
    let view = AttachView::new(&summary);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in view.notes() {
            note(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The warning that rule files define groups, and say nothing of the interface: it then carries
/// `default`, which may not be what was meant.
fn carries_default(interface: &str, model: &Model) -> Option<String> {
    let groups = model.groups.values().map(|group| group.name.as_str());
    let others: Vec<_> = groups.filter(|name| *name != "default").collect();
    (model.interface(interface).is_none() && !others.is_empty()).then(|| {
        format!(
            "warning: the rule files say nothing of {interface}: it carries the group `default`, \
             none of theirs ({}); give --group NAME, or name it under `interfaces:`",
            others.join(", ")
        )
    })
}
