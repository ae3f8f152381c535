//! `sg-ctl adopt`.

use std::process::ExitCode;

use sg_ctl::vpc::Owned;

use crate::failure::refusal;
use crate::verb::shared::Context;
use crate::verb::{AdoptArgs, output};

/// Hands over to rule files what the API owns.
pub(crate) fn run(args: AdoptArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(joined) = context.vpc()? {
        return Err(refusal(
            format!(
                "this host belongs to the VPC {}, of which the API owns nothing",
                joined.vpc
            ),
            "`sg-ctl apply -f …` changes the VPC's rules",
        ));
    }
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
