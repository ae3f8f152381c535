//! `sg-ctl templates`.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::model::Service;
use sg_policy::rulefile::{TEMPLATES, console_types};

use crate::verb::output::table::Table;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::print_list;

/// What the help of `templates` says beyond the options.
const HELP: &str = "\
JSON: an array of objects with these fields:
  key (type or template), name, protocol (tcp, udp, icmp, icmpv6, all, or null where the rule says
  it), ports (a port, a range, `all`, or null where the rule says them)

EXAMPLES:
    sg-ctl templates kafka
    sg-ctl templates 5432

  In a rule file:
    - { template: kafka-broker-tcp, source: \"sg:app\" }
    - { type: PostgreSQL, source: \"sg:app\" }";

/// List the names that stand for protocol and ports in rules.
///
/// A rule says `type: HTTPS` or `template: kafka-broker-tcp` in place of protocol and ports. Types
/// are those of the AWS console; templates are the named rules of the Terraform module
/// terraform-aws-modules/security-group.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only names that contain this word, or that stand for this port.
    #[arg(value_name = "WORD|PORT")]
    pub(crate) wanted: Option<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Lists the names that stand for protocol and ports.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut names = TemplateView::all();
    if let Some(wanted) = &args.wanted {
        names.retain(|name| name.is_about(wanted));
    }
    let nothing = "no such name; without a word all are listed";
    print_list(&names, args.format.json, nothing, TemplateView::table)?;
    Ok(ExitCode::SUCCESS)
}

/// A name in lists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TemplateView {
    #[schemars(extend("enum" = ["type", "template"]))]
    key: &'static str,
    name: &'static str,
    protocol: Option<String>,
    ports: Option<String>,
    #[serde(skip)]
    service: Option<Service>,
}

impl TemplateView {
    /// Every type of the console and every template.
    pub(crate) fn all() -> Vec<Self> {
        let types = console_types().map(|(name, service)| Self::new("type", name, service));
        let templates = TEMPLATES
            .iter()
            .map(|each| Self::new("template", each.name, Some(each.service)));
        types.chain(templates).collect()
    }

    fn new(key: &'static str, name: &'static str, service: Option<Service>) -> Self {
        Self {
            key,
            name,
            protocol: service.map(Service::protocol_text),
            ports: service.map(Service::ports_text),
            service,
        }
    }

    /// Whether `wanted` is part of the name, or a port that the name stands for.
    pub(crate) fn is_about(&self, wanted: &str) -> bool {
        if self.name.to_lowercase().contains(&wanted.to_lowercase()) {
            return true;
        }
        match (wanted.parse::<u16>(), self.service) {
            // Names of whole protocols stand for no port in particular.
            (Ok(port), Some(Service::Ports { from, to, .. })) => {
                (from..=to).contains(&port) && (from, to) != (0, u16::MAX)
            }
            _ => false,
        }
    }

    /// The table of names.
    pub(crate) fn table(names: &[Self]) -> Table {
        let mut table = Table::new(&["KEY", "NAME", "PROTOCOL", "PORTS"]);
        for each in names {
            table.push([
                each.key,
                each.name,
                each.protocol.as_deref().unwrap_or("-"),
                each.ports.as_deref().unwrap_or("-"),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_word_and_port() {
        let found = |wanted: &str| -> Vec<_> {
            let all = TemplateView::all().into_iter();
            all.filter(|each| each.is_about(wanted))
                .map(|each| each.name)
                .collect()
        };
        assert_eq!(found("redshift"), ["Redshift", "redshift-tcp"]);
        assert_eq!(found("8984"), ["solr-tcp"]);
        assert_eq!(found("gopher"), [""; 0]);
    }
}
