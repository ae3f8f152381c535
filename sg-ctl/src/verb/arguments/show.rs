//! The command line of `show`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::verb::arguments::help;
use crate::verb::{Format, Named};

/// Show groups, rules, interfaces, members, hosts or the traffic that is never filtered.
///
/// Prints what was applied last, as it is kept in the state directory.
#[derive(Args, Debug)]
#[command(after_long_help = help::SHOW, disable_help_subcommand = true)]
pub(crate) struct ShowArgs {
    #[command(subcommand)]
    pub(crate) what: Show,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Show {
    /// Security groups: ids, number of rules, and the interfaces that carry them.
    #[command(after_long_help = help::SHOW_GROUPS)]
    Groups(Format),
    /// Rules of every group, or of one, by direction; or those in force, with counters.
    #[command(after_long_help = help::SHOW_RULES)]
    Rules(ShowRulesArgs),
    /// Interfaces: groups, side, hook, settings.
    #[command(after_long_help = help::SHOW_INTERFACES)]
    Interfaces(Format),
    /// Addresses that carry a group, and where each comes from.
    #[command(after_long_help = help::SHOW_MEMBERS)]
    Members(Format),
    /// Hosts of the VPC: what they enforce, and when they were last heard of.
    #[command(after_long_help = help::SHOW_HOSTS)]
    Hosts(Format),
    /// Traffic that groups never filter: what it is, where it is on, how much of it passed.
    #[command(after_long_help = help::SHOW_INFRA)]
    Infra(Format),
}

#[derive(Args, Debug)]
pub(crate) struct ShowRulesArgs {
    /// Only this group (name or id).
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(Named::Group))]
    pub(crate) group: Option<String>,

    /// Of every attached interface, with what each rule has admitted since it came into force there.
    #[arg(short, long)]
    pub(crate) counters: bool,

    /// Only rules that have never decided on a packet; with --counters, which it implies.
    #[arg(long)]
    pub(crate) never_hit: bool,

    /// Only rules of this interface; with --counters, which it implies.
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}

impl ShowRulesArgs {
    /// Whether the rules in force are asked for.
    pub(crate) const fn wants_counters(&self) -> bool {
        self.counters || self.never_hit || self.interface.is_some()
    }
}
