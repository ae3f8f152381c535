//! Who is signed in: sessions, in memory only, and links that work once.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::api::keys::Key;

/// A session ends this long after it began.
const LONGEST: Duration = Duration::from_hours(12);
/// A session ends this long after it was last used.
const IDLE: Duration = Duration::from_mins(30);
/// A link works this long.
const LINK: Duration = Duration::from_secs(30);
/// Sessions at a time; of more, the one that was used longest ago ends.
const MOST: usize = 256;
/// Wrong secrets of one address before it has to wait.
const FREE_FAILURES: u32 = 5;

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The key that it was opened with.
    pub(super) key: Key,
    /// What every form of it carries.
    pub(super) csrf: String,
    began: Instant,
    used: Instant,
}

/// All sessions, and who failed to open one.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    failures: HashMap<IpAddr, (u32, Instant)>,
}

/// Random text that nobody guesses.
pub(super) fn token() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(crate::api::sigv4::hex(&bytes))
}

/// Whether two secrets are one; takes as long for any two.
pub(super) fn same(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| Sha256::digest(text.as_bytes()));
    let differ = one
        .iter()
        .zip(other.iter())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    differ == 0
}

impl Sessions {
    /// Opens a session; returns what its cookie holds.
    pub(super) fn begin(&mut self, key: &Key, now: Instant) -> io::Result<String> {
        if self.open.len() >= MOST
            && let Some(oldest) = self.open.iter().min_by_key(|(_, session)| session.used)
        {
            let oldest = oldest.0.clone();
            self.open.remove(&oldest);
        }
        let cookie = token()?;
        let session = Session {
            key: key.clone(),
            csrf: token()?,
            began: now,
            used: now,
        };
        self.open.insert(cookie.clone(), session);
        Ok(cookie)
    }

    /// The session of a cookie, used now.
    pub(super) fn find(&mut self, cookie: &str, now: Instant) -> Option<Session> {
        self.open.retain(|_, session| {
            now.duration_since(session.began) < LONGEST && now.duration_since(session.used) < IDLE
        });
        let session = self.open.get_mut(cookie)?;
        session.used = now;
        Some(session.clone())
    }

    /// The session of a cookie, which is not used thereby: a page that asks by itself keeps none open.
    pub(super) fn peek(&self, cookie: &str, now: Instant) -> Option<&Session> {
        let session = self.open.get(cookie)?;
        let (whole, rest) = (session.began, session.used);
        let is_open = now.duration_since(whole) < LONGEST && now.duration_since(rest) < IDLE;
        is_open.then_some(session)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, cookie: &str) {
        self.open.remove(cookie);
    }

    /// How long an address has to wait before it may try again.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let (count, last) = self.failures.get(&address)?;
        let beyond = count.checked_sub(FREE_FAILURES)?;
        let wait = Duration::from_secs(1 << beyond.min(8));
        wait.checked_sub(now.duration_since(*last))
            .filter(|wait| !wait.is_zero())
    }

    /// Counts a wrong secret.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) {
        self.failures
            .retain(|_, (_, last)| now.duration_since(*last) < Duration::from_mins(15));
        if self.failures.len() < 4096 {
            let entry = self.failures.entry(address).or_insert((0, now));
            *entry = (entry.0 + 1, now);
        }
    }
}

/// A link that is waiting to be used: what it holds is kept as a digest.
#[derive(Serialize, Deserialize)]
struct Waiting {
    digest: String,
    until: u64,
}

const FILE: &str = "console-link.json";

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn digest(token: &str) -> String {
    crate::api::sigv4::hex(&Sha256::digest(token.as_bytes()))
}

/// Makes a link's token; whoever may read the state directory can. It works once, for 30 seconds, and
/// ends the one before.
///
/// # Errors
/// When the state directory cannot be written.
pub fn make_link(state: &Path) -> io::Result<String> {
    let token = token()?;
    let waiting = Waiting {
        digest: digest(&token),
        until: seconds() + LINK.as_secs(),
    };
    let path = state.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&serde_json::to_vec(&waiting)?)?;
    Ok(token)
}

/// Takes a link's token: true once, and only in time.
pub(super) fn take_link(state: &Path, token: &str) -> bool {
    let path = state.join(FILE);
    let waiting = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Waiting>(&bytes).ok());
    let is_right = waiting
        .is_some_and(|waiting| same(&waiting.digest, &digest(token)) && seconds() <= waiting.until);
    // Whoever removes it has it: of two at one time, one.
    is_right && fs::remove_file(&path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::keys::Role;

    fn key() -> Key {
        Key {
            id: "AKID".to_owned(),
            secret: "secret".to_owned(),
            role: Role::Admin,
            name: "admin".to_owned(),
            expires: None,
            may_lock_out: false,
        }
    }

    #[test]
    fn a_session_ends_after_half_an_hour_of_rest_and_after_twelve_hours() {
        let mut sessions = Sessions::default();
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let cookie = sessions.begin(&key(), start).expect("a session");
        assert!(sessions.find(&cookie, minutes(29)).is_some());
        assert!(sessions.find(&cookie, minutes(58)).is_some());
        assert!(sessions.find(&cookie, minutes(88)).is_none());
        let cookie = sessions.begin(&key(), start).expect("a session");
        for minute in (0..720).step_by(20) {
            assert!(
                sessions.find(&cookie, minutes(minute)).is_some(),
                "{minute}"
            );
        }
        assert!(sessions.find(&cookie, minutes(720)).is_none());
    }

    #[test]
    fn wrong_secrets_cost_more_time_each() {
        let mut sessions = Sessions::default();
        let (address, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..4 {
            sessions.failed(address, now);
        }
        assert_eq!(sessions.wait(address, now), None);
        for seconds in [1, 2, 4, 8] {
            sessions.failed(address, now);
            assert_eq!(
                sessions.wait(address, now),
                Some(Duration::from_secs(seconds))
            );
        }
        assert_eq!(sessions.wait(address, now + Duration::from_secs(9)), None);
    }

    #[test]
    fn a_link_works_once_and_only_the_last_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let old = make_link(directory.path()).expect("a link");
        let new = make_link(directory.path()).expect("a link");
        assert!(!take_link(directory.path(), &old));
        assert!(take_link(directory.path(), &new));
        assert!(!take_link(directory.path(), &new));
    }
}
