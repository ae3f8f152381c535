//! Rule files that change, wherever they are kept and however they are changed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sg_ctl::host::dataplane::Dataplane;
use sg_tests::{eventually, netns::Namespace, sg_ctl::SgCtl};

use super::start;

/// Less than the time after which the agent reads files that nobody told it about.
const NOTICED: Duration = Duration::from_secs(15);

/// A layout's name, which makes the file there and returns by which path the agent knows it, and
/// which changes what is read by that path.
type Layout = (
    &'static str,
    fn(&Path, &Texts) -> PathBuf,
    fn(&Path, &Texts),
);

/// What a file says, and what it is to say.
struct Texts {
    old: String,
    new: String,
}

const LAYOUTS: [Layout; 12] = [
    ("written", plain, |at, texts| {
        write(at, "rules", &texts.new);
    }),
    ("replaced", plain, |at, texts| {
        replace(&at.join("rules"), &texts.new);
    }),
    ("removed and made again", plain, |at, texts| {
        fs::remove_file(at.join("rules")).expect("it is there");
        write(at, "rules", &texts.new);
    }),
    ("the target of a link, written", linked, |at, texts| {
        write(at, "far/rules", &texts.new);
    }),
    ("the target of a link, replaced", linked, |at, texts| {
        replace(&at.join("far/rules"), &texts.new);
    }),
    ("a link, led elsewhere", linked, |at, texts| {
        write(at, "next", &texts.new);
        relink(&at.join("link"), "next");
    }),
    ("the last of a chain of links", chain, |at, _| {
        relink(&at.join("b"), "other/rules");
    }),
    ("the file at the end of a chain", chain, |at, texts| {
        replace(&at.join("dir/rules"), &texts.new);
    }),
    ("its directory, replaced", below, |at, _| {
        swap_directories(at);
    }),
    (
        "its directory, a link led elsewhere",
        below_a_link,
        |at, _| {
            relink(&at.join("current"), "other");
        },
    ),
    ("a configmap's data, led elsewhere", configmap, |at, _| {
        relink(&at.join("..data"), "other");
    }),
    ("a configmap's directory, replaced", configmap, |at, _| {
        swap_directories(at);
    }),
];

fn write(at: &Path, name: &str, text: &str) {
    fs::write(at.join(name), text).expect("it is ours");
}

/// Replaces a file as editors do.
fn replace(path: &Path, text: &str) {
    let new = path.with_file_name("new-file");
    fs::write(&new, text).expect("it is ours");
    fs::rename(new, path).expect("they are in one directory");
}

fn link(target: impl AsRef<Path>, at: &Path) {
    symlink(target, at).expect("it is ours");
}

/// Lets a link lead elsewhere, at one moment.
fn relink(path: &Path, target: &str) {
    let new = path.with_file_name("new-link");
    link(target, &new);
    fs::rename(new, path).expect("they are in one directory");
}

fn swap_directories(at: &Path) {
    for (from, to) in [("dir", "old"), ("other", "dir")] {
        fs::rename(at.join(from), at.join(to)).expect("they are in one directory");
    }
}

fn plain(at: &Path, texts: &Texts) -> PathBuf {
    write(at, "rules", &texts.old);
    at.join("rules")
}

/// `link` → `far/rules`.
fn linked(at: &Path, texts: &Texts) -> PathBuf {
    fs::create_dir(at.join("far")).expect("it is ours");
    write(at, "far/rules", &texts.old);
    link("far/rules", &at.join("link"));
    at.join("link")
}

/// `dir/rules`, and `other/rules` that says what is new.
fn below(at: &Path, texts: &Texts) -> PathBuf {
    for (name, text) in [("dir", &texts.old), ("other", &texts.new)] {
        fs::create_dir(at.join(name)).expect("it is ours");
        write(&at.join(name), "rules", text);
    }
    at.join("dir/rules")
}

/// `current` → `dir`, beside `other`.
fn below_a_link(at: &Path, texts: &Texts) -> PathBuf {
    below(at, texts);
    link("dir", &at.join("current"));
    at.join("current/rules")
}

/// As a volume of Kubernetes: `rules` → `..data/rules`, `..data` → `dir`.
fn configmap(at: &Path, texts: &Texts) -> PathBuf {
    below(at, texts);
    link("dir", &at.join("..data"));
    link("..data/rules", &at.join("rules"));
    at.join("rules")
}

/// `a` → `b`, `b` → the file, both absolute.
fn chain(at: &Path, texts: &Texts) -> PathBuf {
    below(at, texts);
    link(at.join("dir/rules"), &at.join("b"));
    link(at.join("b"), &at.join("a"));
    at.join("a")
}

/// The number of the policy in force, as the kernel has it.
fn generation(sg: &SgCtl<'_>) -> Option<u64> {
    let image = sg.enter(|| Dataplane::open(sg.pins())?.image());
    image.expect("root may look").map(|image| image.generation)
}

/// Waits for a policy that is newer than `before`, and returns for how long.
#[track_caller]
fn comes_into_force(sg: &SgCtl<'_>, layout: &str, before: Option<u64>) -> Duration {
    let begin = Instant::now();
    eventually(layout, || (generation(sg) > before).then_some(()));
    let time = begin.elapsed();
    assert!(time < NOTICED, "{layout}: only after {time:?}");
    time
}

/// The goal is a second; a machine that is busy with other tests may take longer.
#[test]
fn a_tightened_rule_is_in_force_at_once_in_each_of_twelve_layouts() {
    let namespace = Namespace::new("agent");
    namespace.ip("link add eth0 type veth peer name far\nlink set eth0 up\n");
    let sg = SgCtl::new(&namespace);
    // One agent follows a group in each layout.
    let rules = |group: usize, source: &str| {
        format!(
            "security_groups: {{ g{group}: {{ inbound: [{{ type: SSH, source: {source} }}] }} }}\n"
        )
    };
    let layouts: Vec<_> = (0..)
        .zip(LAYOUTS)
        .map(|(group, (name, make, change))| {
            let at = sg.directory().join(group.to_string());
            fs::create_dir(&at).expect("it is ours");
            let texts = Texts {
                old: rules(group, "0.0.0.0/0"),
                new: rules(group, "192.0.2.0/24"),
            };
            let path = make(&at, &texts).display().to_string();
            (name, at, path, texts, change)
        })
        .collect();
    let files = layouts.iter().flat_map(|(_, _, path, ..)| ["-f", path]);
    let words: Vec<_> = files.chain(["--attach", "eth0"]).collect();
    let _agent = start(&sg, &namespace, &words);
    eventually("eth0 is guarded", || generation(&sg));

    let mut times = Vec::new();
    for (group, (name, at, path, texts, change)) in layouts.iter().enumerate() {
        let tells = |source: &str| {
            eventually(&format!("{name}: {source} is told"), || {
                let rules = sg.ok(&["show", "rules", "--group", &format!("g{group}")]);
                rules.contains(source).then_some(())
            });
        };
        tells("0.0.0.0/0");
        let before = generation(&sg);
        change(at, texts);
        times.push(comes_into_force(&sg, name, before));
        tells("192.0.2.0/24");
        // And the next time, wherever it is now.
        let before = generation(&sg);
        let now = fs::canonicalize(path).expect("it is there");
        replace(&now, &rules(group, "192.0.2.1/32"));
        times.push(comes_into_force(&sg, name, before));
        tells("192.0.2.1/32");
    }
    let longest = times.iter().max().expect("twelve layouts");
    println!(
        "{} changes were each in force within {longest:?}",
        times.len()
    );
}
