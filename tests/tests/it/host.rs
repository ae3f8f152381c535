//! sg-ctl on hosts: the command itself, real sockets, live interfaces.

mod agent;
mod answers;
mod arguments;
pub(crate) mod attached;
mod command;
mod crash;
mod elsewhere;
mod existing;
mod explain;
mod full;
mod guard;
mod isolate;
mod large;
mod logs;
mod many;
mod network;
mod places;
mod readers;
mod rules;
mod safety;
mod shares;
mod stated;
mod tags;
mod top;
mod tunnel;
mod upgrade;
mod uppers;
