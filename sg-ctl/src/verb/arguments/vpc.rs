//! The command line of `vpc`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use crate::verb::Format;
use crate::verb::arguments::help;
use crate::verb::shared::value;

/// Let this host share its groups with others, on etcd.
///
/// The hosts of a VPC have one set of rules, and know each other's addresses by the groups that these
/// give to interfaces. etcd keeps both; the agent follows it. A host that does not reach etcd enforces
/// what it knew last.
#[derive(Args, Debug)]
#[command(after_long_help = help::VPC, disable_help_subcommand = true)]
pub(crate) struct VpcArgs {
    #[command(subcommand)]
    pub(crate) verb: VpcVerb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum VpcVerb {
    Join(Box<VpcJoinArgs>),
    /// Leave the VPC: this host's addresses are members no more; its last policy stays in force.
    Leave,
    /// Show how the VPC is, as this host sees it.
    Status(Format),
    Roles(VpcRolesArgs),
}

/// Make this host one of a VPC.
///
/// Looks whether etcd can be reached and which one it is, and writes down how. From then on the rules
/// of the VPC count, and the agent follows them, within a second where it runs. Joining again changes
/// how etcd is reached, and accepts another etcd, or one that was restored from a backup.
#[derive(Args, Debug)]
#[command(after_long_help = help::VPC_JOIN)]
pub(crate) struct VpcJoinArgs {
    /// Nodes of etcd, as `https://HOST:PORT`; several as `a,b` or repeated.
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
    pub(crate) etcd: Vec<String>,

    /// File of the authorities that sign the certificates of etcd's nodes.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,

    /// File of this host's certificate, whose common name is its user in etcd.
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(crate) cert: Option<PathBuf>,

    /// File of the certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,

    /// User in etcd, where passwords are used in place of certificates.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,

    /// File of the user's password.
    #[arg(long, value_name = "FILE", requires = "user", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,

    /// The VPC.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) vpc: String,

    /// This host's name in it; that of the system unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,

    /// How long this host's addresses stay members when it is not heard of.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = value::time)]
    pub(crate) host_ttl: Duration,

    /// How long other hosts' addresses count that are gone from etcd without a farewell.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = value::time)]
    pub(crate) grace: Duration,
}

/// Print the users, roles and permissions that etcd needs.
///
/// Prints commands of etcdctl, and runs none. A host may read its VPC, and write what it says of
/// itself: into the groups that the rules assign to it, and no others. The names of users are those of
/// hosts, which their certificates have as common names. Run it again when groups are assigned anew:
/// what exists is refused by etcd, and what is new is added.
#[derive(Args, Debug)]
#[command(after_long_help = help::VPC_ROLES)]
pub(crate) struct VpcRolesArgs {
    /// The VPC; that of this host unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) vpc: Option<String>,

    /// Rule file with the assignments; those in etcd unless given.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Hosts; several as `a,b` or repeated. Those that the rules name unless given.
    #[arg(long = "host", value_name = "NAME", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
}
