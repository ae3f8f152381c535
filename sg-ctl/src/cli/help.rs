//! What `--help` and the manual pages say beyond the options: examples, and the fields of JSON.

/// Below the help of sg-ctl.
pub(super) const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 refused or bad input (nothing was changed), 2 system error.";

/// Below the long help of sg-ctl.
pub(super) const SG_CTL: &str = "\
EXIT STATUS:
  0  done
  1  refused, or bad input; nothing was changed
  2  system error

EXAMPLES:
    sg-ctl check examples/three-tier.yaml";

/// Of `--color`.
pub(super) const COLOR: &str = "\
When to use colours: `always`, `never`, or `auto`, which is on a terminal unless `NO_COLOR` is set";

/// Of `check`.
pub(super) const CHECK: &str = "\
JSON: an object with these fields:
  valid       whether the files may be applied
  findings    errors and warnings: severity, file, line, column, field, message, help
  interfaces  name, groups, and rules, in the order that picks the deciding one: group, group_id,
              direction, id, protocol (tcp, udp, icmp, icmpv6, all, or a number), from_port,
              to_port, icmp_type, icmp_code, peer (a range, pl:NAME or sg:NAME), description,
              file, line, ranges (address ranges that the peer stands for), untracked (protocols
              whose flows need no tracking when this rule admits them)

EXAMPLES:
    sg-ctl check rules.yaml
    sg-ctl check groups.yaml interfaces.yaml --json";

/// Of `schema`.
pub(super) const SCHEMA: &str = "\
EXAMPLES:
    sg-ctl schema > sg.schema.json

  In the first line of a rule file, for editors with a YAML language server:
    # yaml-language-server: $schema=sg.schema.json";

/// Of `completions`.
pub(super) const COMPLETIONS: &str = "\
EXAMPLES:
    sg-ctl completions bash > /etc/bash_completion.d/sg-ctl
    sg-ctl completions zsh > /usr/local/share/zsh/site-functions/_sg-ctl";

/// Of `man`.
pub(super) const MAN: &str = "\
EXAMPLES:
    sg-ctl man | man -l -
    sg-ctl man /usr/local/share/man/man1";
