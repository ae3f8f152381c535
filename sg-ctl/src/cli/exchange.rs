//! Arguments of the verbs that exchange rules with other tools, and of the names that rules know.

use clap::Args;

use super::{Format, help};

/// List the names that stand for protocol and ports in rules.
///
/// A rule says `type: HTTPS` or `template: kafka-broker-tcp` in place of protocol and ports. Types
/// are those of the AWS console; templates are the named rules of the Terraform module
/// terraform-aws-modules/security-group.
#[derive(Args, Debug)]
#[command(after_long_help = help::TEMPLATES)]
pub(crate) struct TemplatesArgs {
    /// Only names that contain this word, or that stand for this port.
    #[arg(value_name = "WORD|PORT")]
    pub(crate) wanted: Option<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}
