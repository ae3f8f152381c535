//! The audit log: who changed what, and who was refused.
//!
//! One line of JSON for each call that changes something or would have, in `audit.jsonl` of the state
//! directory, readable by root alone. Old files are `audit.1.jsonl` and so on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Caller;
use super::form::Form;
use super::refusal::Refusal;
use super::xml::Node;
use crate::vpc::Document;

/// Bytes after which a new file is begun.
const MOST_BYTES: u64 = 32 << 20;
/// Old files that are kept.
const FILES: u32 = 4;
/// Parameters of a call that are written down, and characters of each.
const MOST_PARAMETERS: usize = 200;
const MOST_CHARACTERS: usize = 300;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// When, in UTC.
    pub time: String,
    /// Whose key it was.
    pub name: String,
    /// Id of the key.
    pub key: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub agent: String,
    /// What was to be done.
    pub action: String,
    /// With which parameters.
    pub parameters: BTreeMap<String, String>,
    /// The id that the answer has.
    pub request: String,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// The sentence of the refusal, or the id of what was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Revision before, where something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Revision after, where something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Rules that came: id to words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub added: BTreeMap<String, String>,
    /// Rules that went or became others: id to what they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<String, String>,
    /// Groups that were touched: id to name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, String>,
}

impl Entry {
    /// A call that has begun.
    pub fn new(caller: &Caller, form: &Form, request: &str) -> Self {
        let pairs = form.pairs().iter();
        let told = pairs.filter(|(key, _)| !matches!(key.as_str(), "Action" | "Version"));
        let shortened = |text: &String| text.chars().take(MOST_CHARACTERS).collect();
        Self {
            time: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
                .to_string(),
            name: caller.name.clone(),
            key: caller.key.clone(),
            address: caller.peer.map(|(client, _)| client.ip().to_canonical()),
            agent: caller.agent.clone(),
            action: form.get("Action").unwrap_or_default().to_owned(),
            parameters: told
                .take(MOST_PARAMETERS)
                .map(|(key, value)| (shortened(key), shortened(value)))
                .collect(),
            request: request.to_owned(),
            ..Self::default()
        }
    }

    /// A call of a key that may not change anything. Its parameters are not written down: whoever may only
    /// read could fill the log with them, and push out what others have changed.
    pub fn leave_out_parameters(&mut self) {
        self.parameters.clear();
    }

    /// What a call is about to change.
    pub fn change(&mut self, revision: u64, before: &Document, after: &Document) {
        self.before = Some(revision);
        (self.added, self.removed, self.groups) = Default::default();
        let (old, new) = (&before.model().groups, &after.model().groups);
        for name in old.keys().chain(new.keys()) {
            let (old, new) = (old.get(name), new.get(name));
            if old == new {
                continue;
            }
            if let Some(group) = new.or(old) {
                self.groups.insert(group.id.to_string(), name.clone());
            }
            let rules = |group: Option<&sg_policy::model::SecurityGroup>| {
                let directions = sg_policy::model::Direction::ALL.into_iter();
                directions
                    .flat_map(|direction| {
                        let rules = group.map_or(&[][..], |group| group.rules(direction));
                        rules.iter().map(move |rule| {
                            let words = format!(
                                "{name} {} {} {}",
                                direction.name(),
                                rule.service,
                                rule.peer
                            );
                            (rule.id.to_string(), words)
                        })
                    })
                    .collect::<BTreeMap<_, _>>()
            };
            let (old, new) = (rules(old), rules(new));
            let differs = |other: &BTreeMap<String, String>, (id, words): &(&String, &String)| {
                other.get(*id) != Some(*words)
            };
            let owned = |(id, words): (&String, &String)| (id.clone(), words.clone());
            self.added
                .extend(new.iter().filter(|rule| differs(&old, rule)).map(owned));
            self.removed
                .extend(old.iter().filter(|rule| differs(&new, rule)).map(owned));
        }
    }

    /// The revision that the change came to.
    pub fn done(&mut self, revision: u64) {
        self.after = Some(revision);
    }

    /// How the call ended.
    pub fn result(&mut self, answer: &Result<Node, Refusal>) {
        match answer {
            Ok(node) => {
                "ok".clone_into(&mut self.result);
                if let Some(Node::Text(id)) = node.get("groupId") {
                    self.message.clone_from(id);
                }
            }
            Err(refusal) => {
                refusal.code.clone_into(&mut self.result);
                self.message.clone_from(&refusal.message);
                if self.after.is_none() {
                    (self.added, self.removed, self.groups) = Default::default();
                    self.before = None;
                }
            }
        }
    }
}

/// The log, for writing.
#[derive(Debug)]
pub struct Audit {
    directory: PathBuf,
    file: Mutex<Option<File>>,
}

fn path(directory: &Path, number: u32) -> PathBuf {
    match number {
        0 => directory.join("audit.jsonl"),
        number => directory.join(format!("audit.{number}.jsonl")),
    }
}

fn open(directory: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path(directory, 0))?;
    // Half a line, of a full disk or of a process that was killed, ends here.
    let length = file.metadata()?.len();
    let mut last = *b"\n";
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

impl Audit {
    /// Opens the log in a directory, which it makes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let file = open(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            file: Mutex::new(Some(file)),
        })
    }

    /// Writes a call down. On a full disk the call is done all the same: what is enforced counts.
    pub fn write(&self, entry: &Entry) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if self.try_write(&mut file, entry).is_err() {
            // Whatever is wrong with this file, the next call tries another.
            *file = None;
        }
    }

    fn try_write(&self, file: &mut Option<File>, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        if let Some(open) = file
            && open.metadata()?.len() > MOST_BYTES
        {
            for number in (0..FILES).rev() {
                // A file that is not there yet need not be moved.
                let _ = rename(
                    path(&self.directory, number),
                    path(&self.directory, number + 1),
                );
            }
            *file = None;
        }
        let file = match file {
            Some(file) => file,
            None => file.insert(open(&self.directory)?),
        };
        file.write_all(line.as_bytes())
    }
}

/// All calls that are written down, oldest first; lines that are damaged are left out.
///
/// # Errors
/// When a file cannot be read.
pub fn read(directory: &Path) -> io::Result<Vec<Entry>> {
    latest(directory, usize::MAX)
}

/// The latest of them, so many at most, oldest first.
///
/// # Errors
/// When a file cannot be read.
pub fn latest(directory: &Path, most: usize) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for number in 0..=FILES {
        if entries.len() >= most {
            break;
        }
        let file = match File::open(path(directory, number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let mut older: Vec<Entry> = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            older.extend(serde_json::from_slice::<Entry>(&line?).ok());
        }
        older.append(&mut entries);
        entries = older;
    }
    let too_many = entries.len().saturating_sub(most);
    entries.drain(..too_many);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> Entry {
        Entry {
            action: number.to_string(),
            ..Entry::default()
        }
    }

    fn actions(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.action.as_str()).collect()
    }

    #[test]
    fn the_latest_calls_are_those_of_the_newest_files() {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        for (number, actions) in [(1, [0, 1]), (0, [2, 3])] {
            let lines = actions.map(|action| serde_json::to_string(&entry(action)).expect("JSON"));
            let text = format!("{}\n{{\n{}\n", lines[0], lines[1]);
            let text = [text.as_bytes(), b"\xff\n"].concat();
            std::fs::write(path(directory.path(), number), text).expect("it is ours");
        }
        let all = read(directory.path()).expect("they may be read");
        assert_eq!(actions(&all), ["0", "1", "2", "3"]);
        for (most, expected) in [
            (0, &[][..]),
            (1, &["3"]),
            (3, &["1", "2", "3"]),
            (9, &["0", "1", "2", "3"]),
        ] {
            let latest = latest(directory.path(), most).expect("they may be read");
            assert_eq!(actions(&latest), expected);
        }
    }

    #[test]
    fn what_comes_after_half_a_line_is_whole() {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        std::fs::write(path(directory.path(), 0), "{\"time\": \"2").expect("it is ours");
        let log = Audit::open(directory.path()).expect("it is ours");
        log.write(&entry(7));
        log.write(&entry(8));
        let all = read(directory.path()).expect("they may be read");
        assert_eq!(actions(&all), ["7", "8"]);
    }
}
