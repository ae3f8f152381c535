//! Rule files that are watched.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::AgentError;
use sg_policy::rulefile::{self, Parsed, Report, Source};

/// How long files must be left alone before they are read: editors and copies write in pieces.
const QUIET: Duration = Duration::from_millis(250);
/// How long files that never come to rest are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Names on the way to a file after which links are followed no further: they may lead in a circle.
const MOST_STEPS: usize = 200;

/// What became of the files.
pub(super) enum Reading {
    /// They say the same as when they were last read.
    Same,
    /// They say something new.
    New(Box<Parsed>),
}

/// The files as they were last read.
#[derive(Debug)]
pub(super) struct RuleFiles {
    paths: Vec<PathBuf>,
    sources: Option<Vec<Source>>,
    /// Whether they could not be read the last time.
    pub(super) is_unreadable: bool,
    /// Whether they changed something since it was looked last whether another change, which waits to be
    /// confirmed, may undo that with itself.
    pub(super) may_be_undone: bool,
}

impl RuleFiles {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            sources: None,
            is_unreadable: false,
            may_be_undone: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Forgets what was read, so that the next reading is new.
    pub(super) fn forget(&mut self) {
        self.sources = None;
    }

    /// Whether they still cannot be read, as was told the last time.
    pub(super) fn is_as_refused(&self) -> bool {
        self.is_unreadable && self.paths.iter().any(|path| Source::open(path).is_err())
    }

    /// Reads all files again.
    ///
    /// # Errors
    /// When one cannot be read, or anything in them is wrong; once for the same text.
    pub(super) fn read(&mut self) -> Result<Reading, AgentError> {
        let open = |path: &PathBuf| {
            Source::open(path).map_err(|source| AgentError::RuleFile {
                path: path.clone(),
                source,
            })
        };
        let sources = self.paths.iter().map(open).collect::<Result<Vec<_>, _>>();
        self.is_unreadable = sources.is_err();
        let sources = sources?;
        if self.sources.as_ref() == Some(&sources) {
            return Ok(Reading::Same);
        }
        let parsed = rulefile::read(&sources);
        self.sources = Some(sources);
        Ok(Reading::New(Box::new(parsed.map_err(
            |report: Report| AgentError::Rules(Box::new(report)),
        )?)))
    }
}

/// Tells when files change. What is watched are the directories on the way to them, through links:
/// most programs replace a file, a link or a directory and do not write into it.
pub(super) struct FileWatch {
    files: Vec<PathBuf>,
    touched: Arc<Notify>,
    watcher: Mutex<RecommendedWatcher>,
}

impl FileWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When nothing can be watched.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, AgentError> {
        let files: Vec<_> = paths
            .iter()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            .collect();
        let touched = Arc::new(Notify::new());
        let watcher = watch(&files, &touched).map_err(AgentError::Watch)?;
        Ok(Self {
            files,
            touched,
            watcher: Mutex::new(watcher),
        })
    }

    /// Waits until files have changed and come to rest.
    pub(super) async fn changed(&self) {
        self.touched.notified().await;
        let patience = Instant::now() + PATIENCE;
        loop {
            // The way to the files may be another one now. Watching it begins before they are read.
            self.watch_anew();
            let rest = (Instant::now() + QUIET).min(patience);
            if timeout_at(rest, self.touched.notified()).await.is_err() {
                return;
            }
            if Instant::now() >= patience {
                // They change all the time: read what there is, at a bearable pace.
                sleep(QUIET).await;
                return;
            }
        }
    }

    fn watch_anew(&self) {
        // Without another watch the old one is better than none.
        if let Ok(watcher) = watch(&self.files, &self.touched)
            && let Ok(mut old) = self.watcher.lock()
        {
            *old = watcher;
        }
    }
}

/// Watches every directory on the way to files.
fn watch(files: &[PathBuf], touched: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let steps: BTreeSet<PathBuf> = files.iter().flat_map(|file| way_to(file)).collect();
    let directories: BTreeSet<PathBuf> = steps
        .iter()
        .filter_map(|step| step.parent().map(Path::to_owned))
        .collect();
    let teller = Arc::clone(touched);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may have swallowed what we wait for.
        if event.map_or(true, |event| concerns(&event, &steps)) {
            teller.notify_one();
        }
    })?;
    for directory in directories {
        // What cannot be watched, or is gone already, is read every now and then all the same.
        let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
    }
    Ok(watcher)
}

/// Every name that is looked up on the way to a file: if one of them changes, the path may lead to
/// another file.
fn way_to(file: &Path) -> Vec<PathBuf> {
    let mut steps = Vec::new();
    let mut at = PathBuf::from("/");
    // The names that are still to be looked up, the next one last.
    let mut rest: Vec<OsString> = names(file);
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let step = at.join(&name);
        steps.push(step.clone());
        match std::fs::read_link(&step) {
            Ok(target) if steps.len() < MOST_STEPS => {
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
            }
            _ => at = step,
        }
    }
    steps
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let components = path.components().rev();
    components
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

/// Whether an event may mean that one of the files says something else now.
fn concerns(event: &Event, steps: &BTreeSet<PathBuf>) -> bool {
    let is_writing = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        // Our own reading, too, is an access.
        EventKind::Access(_) => false,
        _ => true,
    };
    is_writing && (event.paths.is_empty() || event.paths.iter().any(|path| steps.contains(path)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_lead_in_a_circle_end() {
        let directory = tempfile::tempdir().unwrap();
        symlink("circle", directory.path().join("circle")).unwrap();
        assert!(way_to(&directory.path().join("circle")).len() <= MOST_STEPS + 1);
    }

    #[test]
    fn the_same_text_is_read_once_and_the_same_mistake_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.yaml");
        let mut files = RuleFiles::new(vec![path.clone()]);
        assert!(matches!(files.read(), Err(AgentError::RuleFile { .. })));
        fs::write(&path, "security_groups: {}").unwrap();
        assert!(matches!(files.read(), Ok(Reading::New(_))));
        assert!(matches!(files.read(), Ok(Reading::Same)));
        fs::write(&path, "no_such_key: {}").unwrap();
        assert!(matches!(files.read(), Err(AgentError::Rules(_))));
        assert!(matches!(files.read(), Ok(Reading::Same)));
        files.forget();
        assert!(matches!(files.read(), Err(AgentError::Rules(_))));
    }
}
