//! What runs inside the demo's hosts: servers and a client, plain TCP, just enough HTTP for curl.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Subcommand;

/// How long a server waits for the question.
const TIMEOUT: Duration = Duration::from_millis(2500);

/// How long one who chats waits for the answer.
const CHAT_TIMEOUT: Duration = Duration::from_secs(1);

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
        /// How many milliseconds to wait for it.
        #[arg(long, default_value_t = 2500)]
        patience: u64,
    },
    /// Sends every line back, until it is killed.
    Echo {
        /// Port.
        port: u16,
    },
    /// Carries what comes in to a server, and its answers out.
    Relay {
        /// Address and port.
        peer: SocketAddr,
    },
    /// Stays connected: sends lines of its input, and prints what comes back.
    Chat {
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

/// Carries standard input to a server, and what it answers to standard output.
fn relay(peer: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(peer)?;
    let mut to = stream.try_clone()?;
    thread::spawn(move || {
        // Either end may go away first.
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    // Without the buffer of the standard stream, which waits for the end of a line.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    io::copy(&mut &stream, &mut out)?;
    Ok(())
}

/// Plays a part.
///
/// # Errors
/// When a server cannot listen.
pub(crate) fn play(part: &Part) -> Result<()> {
    match part {
        Part::Serve { name, ports } => serve(name, ports),
        Part::Relay { peer } => relay(*peer),
        Part::Connect { peer, patience } => {
            match ask(*peer, Duration::from_millis(*patience)) {
                Ok(answer) => println!("answer {answer}"),
                Err(error) if is_timeout(&error) => println!("silence"),
                Err(error) => println!("failed: {error}"),
            }
            Ok(())
        }
        Part::Echo { port } => echo(*port),
        Part::Chat { peer } => chat(*peer),
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
        // In one segment, so that the packets of a connection are the same each time.
        let text =
            format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello from the {name}\n");
        stream.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn ask(peer: SocketAddr, patience: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&peer, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.lines().last().unwrap_or_default();
    Ok(body.to_owned())
}

fn echo(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("cannot listen on port {port}"))?;
    println!("ready");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || io::copy(&mut &stream, &mut &stream));
    }
    Ok(())
}

fn chat(peer: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect_timeout(&peer, CHAT_TIMEOUT)
        .with_context(|| format!("cannot connect to {peer}"))?;
    stream.set_read_timeout(Some(CHAT_TIMEOUT))?;
    let mut answers = BufReader::new(&stream);
    for line in io::stdin().lines() {
        writeln!(&stream, "{}", line?)?;
        let mut answer = String::new();
        match answers.read_line(&mut answer) {
            Ok(_) => print!("{answer}"),
            Err(error) if is_timeout(&error) => println!("silence"),
            Err(error) => println!("failed: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_answer_of_a_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || answer(&listener.accept().unwrap().0, "database"));
        assert_eq!(ask(address, TIMEOUT).unwrap(), "hello from the database");
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
