//! What the help of `vpc` says beyond the options.

/// Of `vpc`.
pub(crate) const VPC: &str = "\
FILES:
  /var/lib/sg/vpc.json          the VPC, and how its etcd is reached
  /var/lib/sg/vpc.status.json   what the agent last saw of it
  /var/lib/sg/vpc.records.json  the records that it knows

EXAMPLES:
    sg-ctl vpc join --etcd https://a:2379,https://b:2379,https://c:2379 \\
        --ca ca.pem --cert app-3.pem --key app-3.key --vpc prod
    sg-ctl vpc status
    sg-ctl show hosts
    sg-ctl vpc leave";

/// Of `vpc join`.
pub(crate) const VPC_JOIN: &str = "\
EXAMPLES:
  With certificates, as this host's name says:
    sg-ctl vpc join --etcd https://a:2379,https://b:2379,https://c:2379 \\
        --ca ca.pem --cert app-3.pem --key app-3.key --vpc prod

  An administrator's machine, which guards nothing itself:
    sg-ctl vpc join --etcd https://a:2379 --ca ca.pem --cert admin.pem --key admin.key --vpc prod
    sg-ctl apply -f groups.yaml --wait 5s";

/// Of `vpc roles`.
pub(crate) const VPC_ROLES: &str = "\
EXAMPLES:
    sg-ctl vpc roles --vpc prod -f groups.yaml --host app-1,app-2,db
    sg-ctl vpc roles | sh";

/// Of `show hosts`.
pub(crate) const SHOW_HOSTS: &str = "\
JSON: a list of objects with these fields:
  host, version, rules (the revision that it enforces), behind (whether there is a newer one),
  refused (why it does not enforce that, or null), heard (seconds ago)

EXAMPLES:
    sg-ctl show hosts";
