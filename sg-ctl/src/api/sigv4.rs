//! Verifies AWS Signature Version 4 of a request whose body is at hand.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// How far clocks may be apart, in seconds.
const SKEW: i64 = 300;

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// `GET`, `POST`, ….
    pub method: &'r str,
    /// The path as sent, without the query.
    pub path: &'r str,
    /// The query as sent.
    pub query: &'r str,
    /// Names, in lower case, and values of all headers, in the order in which they came.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// The body.
    pub body: &'r [u8],
}

impl<'r> Request<'r> {
    fn headers(&self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let named = self.headers.iter().filter(move |(key, _)| *key == name);
        named.map(|(_, value)| *value)
    }

    /// The text of a header that stands there once.
    fn header(&self, name: &str) -> Option<&'r str> {
        let mut values = self.headers(name);
        let value = std::str::from_utf8(values.next()?).ok()?;
        values.next().is_none().then_some(value)
    }
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// There is none.
    Missing,
    /// It is not of the form that it must have, or leaves out what it must cover.
    Malformed,
    /// It is of another time.
    Expired,
    /// No such key, or another secret, or another request.
    Wrong,
}

/// What a signature says about itself; nothing of it is true before it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'r> {
    /// Id of the key.
    pub key: &'r str,
    /// The region that it was signed for.
    pub region: &'r str,
    /// The service that it was signed for.
    pub service: &'r str,
    /// When, as `20261128T083000Z`.
    pub date: &'r str,
    signed_headers: &'r str,
    signature: [u8; 32],
}

impl<'r> Claim<'r> {
    /// Reads the header `Authorization`.
    ///
    /// # Errors
    /// [`Unsigned::Missing`] and [`Unsigned::Malformed`].
    pub fn of(request: &Request<'r>) -> Result<Self, Unsigned> {
        let text = request.header("authorization").ok_or(Unsigned::Missing)?;
        let rest = text
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or(Unsigned::Missing)?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let place = match part.trim().split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed, value),
                Some(("Signature", value)) => (&mut signature, value),
                _ => return Err(Unsigned::Malformed),
            };
            if place.0.replace(place.1).is_some() {
                return Err(Unsigned::Malformed);
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed, signature)
        else {
            return Err(Unsigned::Malformed);
        };
        let scope: Vec<&str> = credential.split('/').collect();
        let [key, day, region, service, "aws4_request"] = scope[..] else {
            return Err(Unsigned::Malformed);
        };
        let date = request.header("x-amz-date").ok_or(Unsigned::Malformed)?;
        if day.len() != 8 || !date.starts_with(day) {
            return Err(Unsigned::Malformed);
        }
        // What is not signed may have been changed on the way.
        let mut names = signed_headers.split(';');
        if !["host", "x-amz-date"]
            .iter()
            .all(|wanted| names.clone().any(|name| name == *wanted))
            || names.any(|name| request.headers(name).next().is_none())
        {
            return Err(Unsigned::Malformed);
        }
        Ok(Self {
            key,
            region,
            service,
            date,
            signed_headers,
            signature: digits(signature).ok_or(Unsigned::Malformed)?,
        })
    }

    /// Whether it is of the present, `now` being seconds since 1970.
    ///
    /// # Errors
    /// [`Unsigned::Expired`], or [`Unsigned::Malformed`] when the time is none.
    pub fn check_time(&self, now: i64) -> Result<(), Unsigned> {
        let then = seconds(self.date).ok_or(Unsigned::Malformed)?;
        if (now - then).abs() > SKEW {
            return Err(Unsigned::Expired);
        }
        Ok(())
    }

    /// Whether the request was signed with this secret. Takes the same time for any signature.
    ///
    /// # Errors
    /// [`Unsigned::Wrong`] when it was not.
    pub fn verify(&self, request: &Request<'_>, secret: &str) -> Result<(), Unsigned> {
        let day = &self.date[..8];
        let canonical = self.canonical(request);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{day}/{}/{}/aws4_request\n{}",
            self.date,
            self.region,
            self.service,
            hex(&Sha256::digest(canonical))
        );
        let mut key = mac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
        for part in [self.region, self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        keyed(&key)
            .chain_update(to_sign)
            .verify_slice(&self.signature)
            .map_err(|_differs| Unsigned::Wrong)
    }

    /// The request as it is signed.
    fn canonical(&self, request: &Request<'_>) -> Vec<u8> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            path(request.path),
            query(request.query)
        )
        .into_bytes();
        for name in self.signed_headers.split(';') {
            text.extend(name.as_bytes());
            text.push(b':');
            for (index, value) in request.headers(name).enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                let words = value.split(u8::is_ascii_whitespace);
                let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
                text.extend(words.join(&b' '));
            }
            text.push(b'\n');
        }
        let body = hex(&Sha256::digest(request.body));
        text.extend(format!("\n{}\n{body}", self.signed_headers).bytes());
        text
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("keys have any length"))
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    keyed(key).chain_update(data).finalize().into_bytes().into()
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of 64 hexadecimal digits.
fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return None;
    }
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Percent-encodes as signatures want it.
fn encode(bytes: &[u8], keep: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || keep.contains(byte) {
            text.push(*byte as char);
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// A path without `.` and `..` and empty steps, encoded once more.
fn path(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let end = if path.ends_with('/') && !steps.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", encode(steps.join("/").as_bytes(), b"/"))
}

/// A query in order, each name and value encoded in the one way.
fn query(query: &str) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (encode(key.as_bytes(), b""), encode(value.as_bytes(), b"")))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join("&")
}

/// Seconds since 1970 of a time such as `20261128T083000Z`.
fn seconds(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let stamp = jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?;
    Some(stamp.as_second())
}

#[cfg(test)]
mod tests;
