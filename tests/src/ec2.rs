//! A client of the EC2 endpoint that signs as AWS's do (Signature Version 4), written from AWS's pages
//! and not from the endpoint's code.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{netns::Namespace, sg_ctl::SgCtl};

/// A client in a namespace, with one key.
#[derive(Clone, Debug)]
pub struct Client<'n> {
    namespace: &'n Namespace,
    endpoint: SocketAddr,
    id: String,
    secret: String,
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// The header, and the document.
    pub text: String,
}

impl<'n> Client<'n> {
    /// A client with the first key of a host's endpoint, which was made when it was started.
    pub fn new(namespace: &'n Namespace, endpoint: SocketAddr, sg: &SgCtl<'_>) -> Self {
        let path = sg.directory().join("state/keys.json");
        let text = std::fs::read_to_string(path).expect("keys were made");
        let keys: Value = serde_json::from_str(&text).expect("keys are JSON");
        let field = |name: &str| keys[0][name].as_str().unwrap_or_default().to_owned();
        Self {
            namespace,
            endpoint,
            id: field("id"),
            secret: field("secret"),
        }
    }

    /// Makes a call that must be carried out.
    #[track_caller]
    pub fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.call(action, parameters);
        assert_eq!(answer.status, 200, "{action}: {}", answer.text);
        answer
    }

    /// Makes a call.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut stream = self.send(&self.request(action, parameters));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or_default(),
            text,
        }
    }

    /// Makes a call, and does not wait for what it comes to.
    pub fn hang_up(&self, action: &str, parameters: &[(&str, &str)]) {
        drop(self.send(&self.request(action, parameters)));
    }

    fn request(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        const KIND: &str = "application/x-www-form-urlencoded";
        let pairs = [("Action", action), ("Version", "2016-11-15")];
        let pairs = pairs.iter().chain(parameters);
        let body: Vec<_> = pairs
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect();
        let body = body.join("&");
        let time = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let host = self.endpoint.to_string();
        let signed = format!("content-type:{KIND}\nhost:{host}\nx-amz-date:{time}\n");
        let names = "content-type;host;x-amz-date";
        let request = format!("POST\n/\n\n{signed}\n{names}\n{}", digest(body.as_bytes()));
        let (day, _) = time.split_once('T').expect("a time has a day");
        let scope = format!("{day}/us-east-1/ec2/aws4_request");
        let what = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            digest(request.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, what.as_bytes()));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {KIND}\r\nX-Amz-Date: {time}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.id,
            body.len()
        );
        format!("{head}{body}")
    }

    fn send(&self, request: &str) -> TcpStream {
        let connect = || TcpStream::connect(self.endpoint);
        let mut stream = self.namespace.enter(connect).expect("the endpoint listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }
}

impl Answer {
    /// The text of the first element of this name; empty when there is none.
    pub fn first(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The texts of all elements of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.text.split(begin.as_str()).skip(1);
        parts
            .filter_map(|part| Some(part.split_once(&end)?.0))
            .collect()
    }

    /// The hosts of a VPC that do not enforce the change yet.
    pub fn pending(&self) -> Option<&str> {
        let lines = self.text.lines();
        lines
            .map(str::trim_end)
            .find_map(|line| line.strip_prefix("x-sg-pending: "))
    }
}

/// What stands in a form for a text.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut form, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            form.push(byte.into());
        } else {
            write!(form, "%{byte:02X}").expect("a String takes everything");
        }
        form
    })
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn digest(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
