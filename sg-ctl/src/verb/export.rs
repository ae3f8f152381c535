//! `sg-ctl export`.

use std::process::ExitCode;

use sg_policy::model::Model;
use sg_policy::{export, rulefile};

use crate::verb::output::{self, note};
use crate::verb::shared::{Context, rule_files};
use crate::verb::{ExportArgs, ExportFormat};

/// Prints rules for other tools.
pub(crate) fn run(args: &ExportArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let model = model(args, context)?;
    match args.format {
        ExportFormat::Yaml => output::text(rulefile::to_yaml(&model)?)?,
        ExportFormat::Json => output::json(&rulefile::to_json(&model))?,
        ExportFormat::AwsJson => {
            for loss in export::losses(&model) {
                note(format!("warning: {loss}"));
            }
            output::json(&export::aws_json(&model))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The model of the files, or the one that was applied last.
fn model(args: &ExportArgs, context: &Context) -> anyhow::Result<Model> {
    if args.files.is_empty() {
        Ok(context.host()?.state()?.model)
    } else {
        rule_files::model(&args.files)
    }
}
