//! `sg-ctl adopt`.

use std::process::ExitCode;

use sg_ctl::vpc::Owned;

use crate::verb::shared::Context;
use crate::verb::{output, vpc};

/// What the help of `adopt` says beyond the options.
const HELP: &str = "\
EXAMPLES:
  Write down what Terraform made, and go on with a rule file:
    sg-ctl export --format yaml > rules.yaml
    sg-ctl adopt web db
    sg-ctl apply -f rules.yaml";

/// Hand over to rule files what the API owns.
///
/// `apply` leaves alone what the API made (Terraform, the AWS CLI, the console), and refuses files that
/// define it. Adopted, it belongs to rule files for good: the next `apply` replaces it, or removes it
/// when no file defines it; the API shows it and changes it no more. What is enforced stays the same.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Security groups.
    #[arg(value_name = "GROUP", required_unless_present_any = ["prefix_lists", "interfaces"])]
    pub(crate) groups: Vec<String>,

    /// A prefix list; may be repeated.
    #[arg(long = "prefix-list", value_name = "NAME")]
    pub(crate) prefix_lists: Vec<String>,

    /// An interface, whose groups the API chose, in a VPC as HOST/INTERFACE; may be repeated.
    #[arg(long = "interface", value_name = "IFACE")]
    pub(crate) interfaces: Vec<String>,
}

/// Hands over to rule files what the API owns.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let of = |what, names: Vec<String>| names.into_iter().map(move |name| (what, name));
    let names: Vec<_> = of(Owned::Group, args.groups)
        .chain(of(Owned::PrefixList, args.prefix_lists))
        .chain(of(Owned::Interface, args.interfaces))
        .collect();
    match context.vpc()? {
        Some(joined) => vpc::adopt(&names, joined)?,
        None => context.host()?.adopt(&names)?,
    }
    for (what, name) in names {
        output::text(format_args!(
            "the {what} {name} belongs to rule files now\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
