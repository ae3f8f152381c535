//! What runs inside the demo's hosts: servers and a client, plain TCP, just enough HTTP for curl.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Subcommand;

/// How long a client waits: TCP sends its second SYN after one second.
const TIMEOUT: Duration = Duration::from_millis(2500);

/// A part that a copy of this program plays inside a namespace.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Answers on TCP ports until it is killed.
    Serve {
        /// Who answers.
        name: String,
        /// Ports.
        ports: Vec<u16>,
    },
    /// Connects, asks, and prints the answer.
    Connect {
        /// Address and port.
        peer: SocketAddr,
    },
}

/// What became of a connection attempt, by the helper's last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The answer came back.
    Answered(String),
    /// Nothing came back at all: that is what a drop looks like.
    Silence,
    /// Something else.
    Failed(String),
}

impl Attempt {
    /// Reads what [`Part::Connect`] printed.
    pub(super) fn parse(output: &str) -> Self {
        match output.trim().split_once(' ') {
            Some(("answer", text)) => Self::Answered(text.to_owned()),
            _ if output.trim() == "silence" => Self::Silence,
            _ => Self::Failed(output.trim().to_owned()),
        }
    }
}

/// Plays a part.
///
/// # Errors
/// When a server cannot listen.
pub(crate) fn play(part: &Part) -> Result<()> {
    match part {
        Part::Serve { name, ports } => serve(name, ports),
        Part::Connect { peer } => {
            match ask(*peer) {
                Ok(answer) => println!("answer {answer}"),
                Err(error) if is_timeout(&error) => println!("silence"),
                Err(error) => println!("failed: {error}"),
            }
            Ok(())
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn serve(name: &str, ports: &[u16]) -> Result<()> {
    let listeners = ports
        .iter()
        .map(|port| {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port))
                .with_context(|| format!("cannot listen on port {port}"))
        })
        .collect::<Result<Vec<_>>>()?;
    println!("ready");
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A client that goes away early is none of our business.
                    let _ = answer(&stream, name);
                }
            });
        }
    });
    Ok(())
}

fn answer(mut stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = stream.read(&mut [0; 1024])?;
    if request > 0 {
        write!(
            stream,
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello from the {name}\n"
        )?;
    }
    Ok(())
}

fn ask(peer: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&peer, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.lines().last().unwrap_or_default();
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_answer_of_a_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || answer(&listener.accept().unwrap().0, "database"));
        assert_eq!(ask(address).unwrap(), "hello from the database");
        server.join().unwrap().unwrap();
    }

    #[test]
    fn what_the_client_prints_is_read_back() {
        let hello = Attempt::Answered("hello from the app".to_owned());
        assert_eq!(Attempt::parse("answer hello from the app\n"), hello);
        assert_eq!(Attempt::parse("silence\n"), Attempt::Silence);
        let refused = Attempt::Failed("failed: refused".to_owned());
        assert_eq!(Attempt::parse("failed: refused\n"), refused);
    }
}
