//! sg-ctl on hosts: the command itself, real sockets, live interfaces.

mod attached;
mod command;
mod explain;
mod network;
mod tags;
