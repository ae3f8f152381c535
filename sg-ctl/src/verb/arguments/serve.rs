//! The command line of `serve` and `audit`, and of the API in the agent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::verb::Format;
use crate::verb::shared::value;

/// Below the long help of `serve`.
const SERVE: &str = "\
CLIENTS:
  The first start makes a key and prints it once, as commands for the AWS CLI:
    aws configure set aws_access_key_id AKID… --profile sg
    aws configure set aws_secret_access_key … --profile sg
    aws configure set endpoint_url http://127.0.0.1:8790 --profile sg
    aws --profile sg --region us-east-1 ec2 describe-security-groups
  Terraform, boto3, Ansible and the SDK for JavaScript take the same three: see docs/api.md.

KEYS:
  keys.json of the state directory, for root alone: a list of objects with the fields id, secret, role
  (admin, read), name, and if wanted expires (seconds since 1970) and may_lock_out.

SIGNALS:
  SIGHUP            read the keys again
  SIGTERM, SIGINT   end; enforcement goes on

EXAMPLES:
  For clients on this host:
    sg-ctl serve

  For other hosts, with a certificate made once:
    sg-ctl serve --listen 0.0.0.0:8790 --tls --name sg.example.net";

/// Below the long help of `audit`.
const AUDIT: &str = "\
JSON: an array of objects with these fields:
  time, name and key (whose), address, agent (what the client calls itself), action, parameters,
  request (id of the answer), result (ok, or the code of the refusal), message, before and after
  (revisions), added and removed (rules: id to words), groups (id to name)

EXAMPLES:
  Who opened this rule?
    sg-ctl audit --rule sgr-0123456789abcdef0

  What happened to the group web in the last hour?
    sg-ctl audit --group web --since 1h";

/// Below the long help of `console`.
const CONSOLE: &str = "\
EXAMPLES:
  On the host, for a browser there or at the other end of `ssh -L 8790:127.0.0.1:8790 HOST`:
    sg-ctl console

  Where the console has another address:
    sg-ctl console --url https://sg.example.net:8790";

/// How the API shows itself, and to whom.
#[derive(Args, Debug)]
#[command(next_help_heading = "API options")]
pub(crate) struct ApiArgs {
    /// File of the keys; `keys.json` of the state directory unless given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,

    /// A name by which clients know this host, beside its own, `localhost` and addresses; may be
    /// repeated. Requests to other names are refused.
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Encrypt, with a certificate of our own that is made once in the state directory.
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) tls: bool,

    /// Encrypt, with this certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,

    /// The account that is shown: twelve digits.
    #[arg(long, value_name = "DIGITS", default_value = "123456789012")]
    #[arg(value_parser = value::account)]
    pub(crate) account: String,

    /// The region that is shown; clients may sign for any.
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    pub(crate) region: String,

    /// The VPC has IPv6: a new group begins with an outbound rule for it, too.
    #[arg(long)]
    pub(crate) ipv6: bool,

    /// What this host is called in ids of interfaces; its host name unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

/// Serve an EC2 endpoint for security groups, which AWS's clients use unchanged.
///
/// AWS CLI, boto3, Terraform, Ansible and the SDKs create groups, authorise and revoke rules, keep prefix
/// lists and tags, and say which groups an interface carries. A change is in force when its call is
/// answered. What rule files define is shown, and changed only there. Every call must be signed.
/// `sg-ctl agent --api` does the same beside its other work.
#[derive(Args, Debug)]
#[command(after_long_help = SERVE)]
pub(crate) struct ServeArgs {
    /// Where to listen. Other hosts are served encrypted only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8790")]
    pub(crate) listen: SocketAddr,

    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Print a link that signs a browser in to the console, once.
///
/// `sg-ctl serve` shows a console at its address: groups, a rule editor, interfaces, traffic. One signs in
/// there with the id and the secret of a key, or with this link, which needs none: whoever may read the
/// state directory may do what the first key may. It works for 30 seconds, and a new one ends the one
/// before.
#[derive(Args, Debug)]
#[command(after_long_help = CONSOLE)]
pub(crate) struct ConsoleArgs {
    /// Where the console is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8790")]
    pub(crate) url: String,
}

/// Tell who changed rules over the API, and who was refused.
///
/// Reads the audit log of the state directory: one entry for each call that changed something or was to.
#[derive(Args, Debug)]
#[command(after_long_help = AUDIT)]
pub(crate) struct AuditArgs {
    /// Only what made, changed or removed this rule, by id.
    #[arg(long, value_name = "ID")]
    pub(crate) rule: Option<String>,

    /// Only what touched this group, by id or name.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// Only calls of this key, by its name or id.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Only calls of the last 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) since: Option<Duration>,

    /// Only calls that were refused.
    #[arg(long)]
    pub(crate) refused: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}
