//! Networks of namespaces, sg-ctl itself, real sockets.

mod every_hook;
mod tunnels;
