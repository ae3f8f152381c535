//! `sg-ctl templates`.

pub(crate) mod view;

use std::process::ExitCode;

use crate::verb::TemplatesArgs;
use crate::verb::shared::print_list;
use crate::verb::templates::view::TemplateView;

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
