//! `sg-ctl adopt`.

use std::process::ExitCode;

use sg_ctl::vpc::Owned;

use super::Context;
use crate::cli::AdoptArgs;
use crate::output;

/// Hands over to rule files what the API owns.
pub(crate) fn run(args: AdoptArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let of = |what, names: Vec<String>| names.into_iter().map(move |name| (what, name));
    let names: Vec<_> = of(Owned::Group, args.groups)
        .chain(of(Owned::PrefixList, args.prefix_lists))
        .chain(of(Owned::Interface, args.interfaces))
        .collect();
    context.host()?.adopt(&names)?;
    for (what, name) in names {
        output::text(format_args!(
            "the {what} {name} belongs to rule files now\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
