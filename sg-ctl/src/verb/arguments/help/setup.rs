//! Of commands about no interface.

/// Of `templates`.
pub(crate) const TEMPLATES: &str = "\
JSON: an array of objects with these fields:
  key (type or template), name, protocol (tcp, udp, icmp, icmpv6, all, or null where the rule says
  it), ports (a port, a range, `all`, or null where the rule says them)

EXAMPLES:
    sg-ctl templates kafka
    sg-ctl templates 5432

  In a rule file:
    - { template: kafka-broker-tcp, source: \"sg:app\" }
    - { type: PostgreSQL, source: \"sg:app\" }";

/// Of `completions`.
pub(crate) const COMPLETIONS: &str = "\
EXAMPLES:
    sg-ctl completions bash > /etc/bash_completion.d/sg-ctl
    sg-ctl completions fish > ~/.config/fish/completions/sg-ctl.fish
    sg-ctl completions zsh > /usr/local/share/zsh/site-functions/_sg-ctl";

/// Of `man`.
pub(crate) const MAN: &str = "\
EXAMPLES:
    sg-ctl man | man -l -
    sg-ctl man /usr/local/share/man/man1";
