//! Rule files that are watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::AgentError;
use crate::rulefile::{self, Parsed, Report, Source};

/// How long files must be left alone before they are read: editors and copies write in pieces.
const QUIET: Duration = Duration::from_millis(250);
/// How long files that never come to rest are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

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
}

impl RuleFiles {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            sources: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Forgets what was read, so that the next reading is new.
    pub(super) fn forget(&mut self) {
        self.sources = None;
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
        let sources: Vec<Source> = self.paths.iter().map(open).collect::<Result<_, _>>()?;
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

/// Tells when files change. Their directories are watched, because most programs replace a file
/// and do not write into it.
pub(super) struct FileWatch {
    _watcher: RecommendedWatcher,
    touched: Arc<Notify>,
}

impl FileWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When a directory cannot be watched.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, AgentError> {
        let touched = Arc::new(Notify::new());
        let teller = Arc::clone(&touched);
        let files = paths.to_vec();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may have swallowed what we wait for.
            if event.map_or(true, |event| concerns(&event, &files)) {
                teller.notify_one();
            }
        })
        .map_err(AgentError::Watch)?;
        for path in paths {
            watcher
                .watch(directory(path), RecursiveMode::NonRecursive)
                .map_err(AgentError::Watch)?;
        }
        Ok(Self {
            _watcher: watcher,
            touched,
        })
    }

    /// Waits until files have changed and come to rest.
    pub(super) async fn changed(&self) {
        self.touched.notified().await;
        let patience = Instant::now() + PATIENCE;
        loop {
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
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether an event may mean that one of the files says something else now.
fn concerns(event: &Event, files: &[PathBuf]) -> bool {
    let is_writing = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        // Our own reading, too, is an access.
        EventKind::Access(_) => false,
        _ => true,
    };
    let is_ours = |path: &PathBuf| {
        files.iter().any(|file| {
            // A link's target changes where the link itself does not.
            file.file_name() == path.file_name() || file.is_symlink()
        })
    };
    is_writing && (event.paths.is_empty() || event.paths.iter().any(is_ours))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Waits for the watch, for as long as a slow machine takes.
    async fn is_told(watch: &FileWatch) -> bool {
        tokio::time::timeout(Duration::from_secs(30), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn files_that_are_written_replaced_or_linked_anew_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("rules.yaml"), "{}").unwrap();
        fs::write(at("one.yaml"), "{}").unwrap();
        fs::write(at("two.yaml"), "{}").unwrap();
        std::os::unix::fs::symlink(at("one.yaml"), at("link.yaml")).unwrap();

        let watch = FileWatch::open(&[at("rules.yaml")]).unwrap();
        fs::write(at("rules.yaml"), "# written\n{}").unwrap();
        assert!(is_told(&watch).await);
        fs::write(at("new"), "# replaced\n{}").unwrap();
        fs::rename(at("new"), at("rules.yaml")).unwrap();
        assert!(is_told(&watch).await);

        let watch = FileWatch::open(&[at("link.yaml")]).unwrap();
        std::os::unix::fs::symlink(at("two.yaml"), at("next")).unwrap();
        fs::rename(at("next"), at("link.yaml")).unwrap();
        assert!(is_told(&watch).await);
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
