//! AWS's own vectors, and what is done to them.

use super::*;

const VECTORS: &str = include_str!("vectors.txt");
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as text: start line, headers, body.
struct Sent {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn sent(name: &str, text: &str) -> Sent {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let start = lines.next().expect("a start line");
    let (method, rest) = start.split_once(' ').expect("a method");
    let target = rest.strip_suffix(" HTTP/1.1").expect("a version");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines.map(|line| {
        let (key, value) = line.split_once(':').expect("a header");
        (key.to_lowercase(), value.trim().as_bytes().to_vec())
    });
    Sent {
        name: name.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
        body: body.trim_end_matches('\n').as_bytes().to_vec(),
    }
}

fn vectors() -> Vec<Sent> {
    let parts = VECTORS.split("== ").skip(1);
    parts
        .map(|part| {
            let (name, text) = part.split_once('\n').expect("a name");
            sent(name, text)
        })
        .collect()
}

/// Reads and verifies, at a time in seconds after the vectors'.
fn verdict(sent: &Sent, secret: &str, later: i64) -> Result<(), Unsigned> {
    let headers: Vec<_> = sent
        .headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_slice()))
        .collect();
    let request = Request {
        method: &sent.method,
        path: &sent.path,
        query: &sent.query,
        headers: &headers,
        body: &sent.body,
    };
    let claim = Claim::of(&request)?;
    claim.check_time(seconds("20150830T123600Z").expect("a time") + later)?;
    claim.verify(&request, secret)
}

#[test]
fn aws_s_vectors_are_verified() {
    let vectors = vectors();
    assert!(vectors.len() > 20, "{}", vectors.len());
    for sent in &vectors {
        assert_eq!(verdict(sent, SECRET, 0), Ok(()), "{}", sent.name);
        assert_eq!(
            verdict(sent, "other", 0),
            Err(Unsigned::Wrong),
            "{}",
            sent.name
        );
    }
}

#[test]
fn a_request_that_was_changed_on_its_way_is_wrong() {
    let changes: [fn(&mut Sent); 5] = [
        |sent| sent.method = "PUT".to_owned(),
        |sent| sent.path.push_str("more"),
        |sent| sent.query.push_str("&more=1"),
        |sent| sent.body.push(b'x'),
        |sent| {
            let host = sent.headers.iter_mut().find(|(key, _)| key == "host");
            host.expect("a host").1.push(b'x');
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        for mut sent in vectors() {
            change(&mut sent);
            let found = verdict(&sent, SECRET, 0);
            assert_eq!(found, Err(Unsigned::Wrong), "{} {index}", sent.name);
        }
    }
}

#[test]
fn a_signature_counts_for_five_minutes() {
    for (later, expected) in [
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(Unsigned::Expired)),
        (-301, Err(Unsigned::Expired)),
    ] {
        assert_eq!(verdict(&vectors()[0], SECRET, later), expected, "{later}");
    }
}

#[test]
fn what_does_not_cover_host_and_time_is_no_signature() {
    let authorization = |change: fn(&str) -> String| {
        let mut sent = vectors().swap_remove(0);
        for (key, value) in &mut sent.headers {
            if key == "authorization" {
                *value = change(std::str::from_utf8(value).expect("text")).into_bytes();
            }
        }
        verdict(&sent, SECRET, 0)
    };
    for change in [
        (|text| text.replace("host;", "")) as fn(&str) -> String,
        |text| text.replace("x-amz-date", "date"),
        |text| text.replace("aws4_request", "aws5_request"),
        |text| text.replace("20150830", "20150831"),
        |text| text.replace("Signature=", "Signature=00"),
        |text| text.to_owned() + ", Signature=00",
        |text| text.replace(", Signature", " Signature"),
    ] {
        assert_eq!(authorization(change), Err(Unsigned::Malformed));
    }
    let bearer = authorization(|_| "Bearer x".to_owned());
    assert_eq!(bearer, Err(Unsigned::Missing));
}
