//! The SSH connection that sg-ctl is run over, if it is: whoever sits at its other end must not lock
//! himself out.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use sg_common::policy::{NO_REPLY, Question};
use sg_common::proto::TCP;
use sg_common::service;

use super::{HostError, compile_policy};
use crate::host::dataplane::{Attachment, DataplaneError, Interface, sockets};
use crate::host::state::{SshPeer, State};
use sg_policy::compile::Image;
use sg_policy::model::{
    Direction, GroupId, Model, Peer, Rule, SecurityGroup, Service, Side, Transport,
};

/// An SSH connection to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SshConnection {
    /// The client's end.
    pub client: SocketAddr,
    /// This host's end.
    pub server: SocketAddr,
}

impl SshConnection {
    /// The connection that this process was started over: the one that sshd names in the
    /// environment, or where that was cleared (sudo), the one of the sshd among its ancestors.
    pub fn current() -> Option<Self> {
        std::env::var("SSH_CONNECTION")
            .ok()
            .and_then(|text| Self::parse(&text))
            .or_else(Self::of_ancestors)
    }

    /// Reads `SSH_CONNECTION`: the client's address and port, the server's address and port.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut end = || {
            let address: IpAddr = words.next()?.parse().ok()?;
            let port = words.next()?.parse().ok()?;
            Some(SocketAddr::new(address.to_canonical(), port))
        };
        let (client, server) = (end()?, end()?);
        Some(Self { client, server })
    }

    fn of_ancestors() -> Option<Self> {
        let mut pid = std::process::id();
        while pid > 1 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name, in parentheses, may hold anything.
            let (before, after) = stat.rsplit_once(')')?;
            let name = before.split_once('(')?.1;
            if name.starts_with("sshd") {
                return Self::of_process(pid);
            }
            pid = after.split_whitespace().nth(1)?.parse().ok()?;
        }
        None
    }

    /// The connection that a process has a socket of.
    fn of_process(pid: u32) -> Option<Self> {
        let inodes: HashSet<u32> = fs::read_dir(format!("/proc/{pid}/fd"))
            .ok()?
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|target| {
                let text = target.to_str()?.strip_prefix("socket:[")?;
                text.strip_suffix(']')?.parse().ok()
            })
            .collect();
        let sockets = sockets().ok()?;
        let socket = sockets
            .iter()
            .find(|socket| inodes.contains(&socket.inode) && socket.protocol == TCP)?;
        Some(Self {
            client: socket.remote,
            server: socket.local,
        })
    }

    /// Whether the connection comes in by this attached interface.
    pub(super) fn comes_by(
        &self,
        state: &State,
        attachment: &Attachment,
    ) -> Result<bool, DataplaneError> {
        let found = self.attachment(state, std::iter::once(attachment))?;
        Ok(found.is_some())
    }

    /// What must stay open for the client to come again.
    pub(super) const fn peer(&self) -> SshPeer {
        SshPeer {
            client: self.client.ip(),
            port: self.server.port(),
        }
    }

    /// The interface, of those attached, that the connection comes in by.
    fn attachment<'a>(
        &self,
        state: &State,
        attachments: impl Iterator<Item = &'a Attachment>,
    ) -> Result<Option<&'a Attachment>, DataplaneError> {
        let addresses = Interface::all_addresses()?;
        let is_own = |index| addresses.contains(&(index, self.server.ip()));
        let is_nic = |zone| {
            let mut records = state.attachments.values();
            records.any(|record| record.zone == zone && record.side == Side::Nic)
        };
        let mut attachments = attachments.filter(|each| is_nic(each.zone));
        Ok(attachments.find(|each| {
            let interface = each.interface.as_ref();
            interface.is_some_and(|interface| {
                is_own(interface.index) || interface.controller.is_some_and(is_own)
            })
        }))
    }

    /// Whether the policy of a zone lets the client connect anew.
    fn is_admitted(&self, image: &Image, zone: u32) -> bool {
        let question = Question {
            remote: self.client.ip().into(),
            zone,
            direction: Direction::Inbound as u32,
            service: service::key(TCP, self.server.port()),
            reply_service: NO_REPLY,
        };
        image.answer(&question).is_pass()
    }

    /// A connection of another kind to this host; `None` when it comes from this host itself.
    pub fn of_peer(client: SocketAddr, server: SocketAddr) -> Option<Self> {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (client, server) = (canonical(client), canonical(server));
        (client.ip() != server.ip() && !client.ip().is_loopback())
            .then_some(Self { client, server })
    }

    /// The interface by which the connection comes in, if this policy would not let it in anew.
    pub(super) fn shut_out(
        &self,
        state: &State,
        attachments: &[Attachment],
        image: &Image,
    ) -> Result<Option<String>, HostError> {
        Ok(match self.attachment(state, attachments.iter())? {
            Some(attachment) if !self.is_admitted(image, attachment.zone) => {
                super::record_of(state, attachment.zone).map(|(name, _)| name.to_owned())
            }
            _ => None,
        })
    }

    /// The warning for whoever cannot come again.
    fn warning(&self, interface: &str) -> String {
        format!(
            "no rule of {interface} admits your own SSH client, {}, to port {}: this connection goes \
             on while it is tracked, but a new one would be dropped. Add a rule, or apply the rules \
             with --keep-ssh",
            self.client.ip(),
            self.server.port()
        )
    }
}

/// The SSH connection that a change is made over, and whether its way in is to stay open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WayIn {
    /// The connection.
    pub ssh: Option<SshConnection>,
    /// Whether its client is admitted, whatever the rules say.
    pub keep: bool,
}

impl WayIn {
    /// Warns of a policy that would keep the client out, or changes it. Returns the policy, and what
    /// the user should know.
    pub(super) fn check(
        &self,
        next: &mut State,
        (attachments, coming): (&[Attachment], Option<&Attachment>),
        image: Image,
    ) -> Result<(Image, Option<String>), HostError> {
        let Some(ssh) = self.ssh else {
            return if self.keep {
                Err(HostError::NoSsh)
            } else {
                Ok((image, None))
            };
        };
        let all = attachments.iter().chain(coming);
        let zone = match ssh.attachment(next, all)? {
            Some(attachment) if !ssh.is_admitted(&image, attachment.zone) => attachment.zone,
            _ => return Ok((image, None)),
        };
        let mut records = next.attachments.iter_mut();
        let Some((name, record)) = records.find(|(_, record)| record.zone == zone) else {
            return Ok((image, None));
        };
        if !self.keep {
            return Ok((image, Some(ssh.warning(name))));
        }
        let note = format!(
            "{name} admits {} to port {}, whatever its rules say, until the next `sg-ctl apply` \
             without --keep-ssh",
            ssh.client.ip(),
            ssh.server.port()
        );
        record.keep_ssh = Some(ssh.peer());
        Ok((compile_policy(next, attachments, coming)?, Some(note)))
    }
}

/// Adds the group that admits a client, and returns its name.
pub(super) fn add_keep_group(model: &mut Model, peer: SshPeer) -> String {
    // No rule file can name a group so.
    let name = format!("(keep-ssh {} {})", peer.client, peer.port);
    let id = GroupId::derived(&name);
    let service = Service::Ports {
        protocol: Transport::Tcp,
        from: peer.port,
        to: peer.port,
    };
    let client = Peer::Cidr(peer.client.into());
    let mut rule = Rule::new(&id, Direction::Inbound, service, client);
    "kept open by --keep-ssh".clone_into(&mut rule.description);
    let group = SecurityGroup {
        name: name.clone(),
        description: "the way in of an SSH client".to_owned(),
        tags: [].into(),
        inbound: vec![rule],
        outbound: Vec::new(),
        id,
    };
    model.groups.insert(name.clone(), group);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_connection() {
        let connection = SshConnection::parse("203.0.113.7 50123 ::ffff:192.0.2.1 22").unwrap();
        assert_eq!(connection.client, "203.0.113.7:50123".parse().unwrap());
        assert_eq!(connection.server, "192.0.2.1:22".parse().unwrap());
        for text in ["", "203.0.113.7 50123 192.0.2.1", "a b c d"] {
            assert_eq!(SshConnection::parse(text), None);
        }
    }
}
