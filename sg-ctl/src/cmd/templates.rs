//! `sg-ctl templates`.

use std::process::ExitCode;

use super::print_list;
use crate::cli::TemplatesArgs;
use crate::output::template::TemplateView;

/// Lists the names that stand for protocol and ports.
pub(crate) fn run(args: &TemplatesArgs) -> anyhow::Result<ExitCode> {
    let mut names = TemplateView::all();
    if let Some(wanted) = &args.wanted {
        names.retain(|name| name.is_about(wanted));
    }
    let nothing = "no such name; without a word all are listed";
    print_list(&names, args.format.json, nothing, TemplateView::table)?;
    Ok(ExitCode::SUCCESS)
}
