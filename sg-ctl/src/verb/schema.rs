//! `sg-ctl schema`.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use sg_ctl::api::audit;
use sg_ctl::vpc::follow::Health;
use sg_policy::rulefile;

use crate::failure::Failure;
use crate::verb::output::flow::FlowView;
use crate::verb::output::rule::RuleView;
use crate::verb::{
    apply, attach, check, confirm, detach, explain, flows, import, isolate, logs, mode, output,
    replay, restore, show, status, templates, test, top, upgrade, vpc,
};

/// What the help of `schema` says beyond the options.
const HELP: &str = "\
EXAMPLES:
    sg-ctl schema > sg.schema.json

  In the first line of a rule file, for editors with a YAML language server:
    # yaml-language-server: $schema=sg.schema.json

  What a script may rely on:
    sg-ctl schema --output status
    sg-ctl schema --output show-rules";

/// Print the JSON schema of rule files, or of what a verb prints with --json.
///
/// Editors that know the schema complete keys and mark mistakes while a rule file is written. Answers
/// keep to theirs: another version may add fields, but removes none and changes no meaning. Where a verb
/// prints one document per line, the schema is that of each. Durations are whole milliseconds, in
/// fields whose names end in `_ms`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The verb whose answer is described, two words joined as in `show-rules`; `error` is what any
    /// verb prints on standard error in place of an answer, `all` an object of all schemas by name.
    #[arg(long, value_name = "VERB", value_parser = names())]
    pub(crate) output: Option<String>,
}

/// Prints a JSON schema.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.output {
        None => output::json(&rulefile::schema())?,
        Some(name) if name == ALL => output::json(&all())?,
        // clap has taken no name but those.
        Some(name) => output::json(&all()[name])?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the schema of an answer.
type Answer = fn(&mut SchemaGenerator) -> Schema;

/// What verbs print with --json.
const ANSWERS: &[(&str, Answer)] = &[
    (
        "apply",
        either::<apply::ApplyView<'_>, vpc::view::VpcApplyView>,
    ),
    ("attach", of::<attach::AttachView<'_>>),
    ("audit", of::<Vec<audit::Entry>>),
    ("check", of::<check::Answer<'_>>),
    ("confirm", of::<confirm::ConfirmView>),
    ("detach", of::<detach::DetachView>),
    ("error", of::<Failure<'_>>),
    ("explain", of::<explain::view::ExplanationView<'_>>),
    (
        "flows",
        either::<Vec<FlowView>, Vec<flows::share::ShareView>>,
    ),
    ("flows-kill", of::<flows::Killed>),
    ("import", of::<import::Answer<'_>>),
    ("isolate", of::<isolate::IsolateView<'_>>),
    ("logs", of::<logs::lines::Entry<'_>>),
    ("mode", of::<mode::ModeView<'_>>),
    (
        "replay",
        either::<replay::packet::PacketView<'_>, replay::view::SummaryView<'_>>,
    ),
    ("restore", of::<Vec<restore::RestoredView<'_>>>),
    (
        "rollback",
        either::<apply::ApplyView<'_>, vpc::view::VpcApplyView>,
    ),
    ("show-groups", of::<Vec<show::group::GroupView<'_>>>),
    ("show-hosts", of::<Vec<vpc::view::HostView>>),
    ("show-infra", of::<Vec<show::infra::InfraView>>),
    (
        "show-interfaces",
        of::<Vec<show::interface::InterfaceView<'_>>>,
    ),
    (
        "show-members",
        either::<Vec<show::group::MemberView<'_>>, Vec<vpc::view::VpcMemberView>>,
    ),
    (
        "show-rules",
        either::<Vec<RuleView<'_>>, Vec<show::counted::CountedRuleView<'_>>>,
    ),
    ("status", of::<status::view::WithVpc<'_>>),
    ("templates", of::<Vec<templates::TemplateView>>),
    ("test", of::<test::cases::CasesView>),
    ("top", of::<top::picture::Picture<'_>>),
    ("upgrade", of::<upgrade::UpgradeView<'_>>),
    ("vpc-status", of::<Health>),
];

/// The name of all schemas in one.
const ALL: &str = "all";

fn names() -> PossibleValuesParser {
    let verbs = ANSWERS.iter().map(|(name, _)| *name);
    PossibleValuesParser::new(verbs.chain([ALL]))
}

/// The schema of every answer.
fn all() -> Value {
    let of =
        |(name, answer): &(&str, Answer)| ((*name).to_owned(), schema(name, *answer).to_value());
    Value::Object(ANSWERS.iter().map(of).collect())
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

fn either<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [generator.subschema_for::<A>(), generator.subschema_for::<B>()]
    })
}

/// The schema of an answer, with all that it refers to.
fn schema(name: &str, answer: Answer) -> Schema {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let described = answer(&mut generator);
    let mut whole = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": match name {
            "error" => "sg-ctl, on standard error".to_owned(),
            verb => format!("sg-ctl {} --json", verb.replace('-', " ")),
        },
    });
    for (key, value) in described.to_value().as_object().into_iter().flatten() {
        whole.ensure_object().entry(key).or_insert(value.clone());
    }
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        whole.insert("$defs".to_owned(), definitions.into());
    }
    whole
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;
    use crate::verb::Cli;

    /// Adds every verb that takes --json.
    fn takers(command: &Command, above: &str, found: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            let name = match above {
                "" => verb.get_name().to_owned(),
                above => format!("{above}-{}", verb.get_name()),
            };
            takers(verb, &name, found);
            if verb
                .get_arguments()
                .any(|argument| argument.get_id() == "json")
            {
                found.push(name);
            }
        }
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_answers() {
        let committed = include_str!("../../../docs/answers.json");
        let committed: Value = serde_json::from_str(committed).expect("JSON");
        for (name, schema) in all().as_object().into_iter().flatten() {
            assert!(
                committed.get(name) == Some(schema),
                "the answer of {name} has changed: may scripts rely on it all the same? \
                 Then: cargo run -p sg-ctl -- schema --output all > docs/answers.json"
            );
        }
        assert_eq!(
            committed.as_object().map_or(0, serde_json::Map::len),
            ANSWERS.len()
        );
    }

    #[test]
    fn every_answer_has_a_schema() {
        let mut verbs = vec!["error".to_owned()];
        takers(&Cli::command(), "", &mut verbs);
        verbs.sort();
        let described: Vec<_> = ANSWERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            described, verbs,
            "a line of ANSWERS for each verb with --json"
        );
    }
}
