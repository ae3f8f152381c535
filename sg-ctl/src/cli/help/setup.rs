//! Of commands that set a machine up.

/// Of `completions`.
pub(in crate::cli) const COMPLETIONS: &str = "\
EXAMPLES:
    sg-ctl completions bash > /etc/bash_completion.d/sg-ctl
    sg-ctl completions zsh > /usr/local/share/zsh/site-functions/_sg-ctl";

/// Of `man`.
pub(in crate::cli) const MAN: &str = "\
EXAMPLES:
    sg-ctl man | man -l -
    sg-ctl man /usr/local/share/man/man1";
