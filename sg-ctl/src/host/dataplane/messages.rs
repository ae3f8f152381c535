//! What the programs themselves have to say: faults that no verdict tells of (aya-log).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aya_log::EbpfLogger;
use log::{Level, Log, Metadata, Record};

use super::error::DataplaneError;

/// A message of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramMessage {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// What it says.
    pub text: String,
}

impl ProgramMessage {
    /// The zone that it is about.
    pub fn zone(&self) -> Option<u32> {
        let number = self.text.strip_prefix("zone ")?.split_whitespace().next()?;
        number.parse().ok()
    }
}

/// The messages of a program; those that were loaded together share one buffer.
pub struct ProgramMessages {
    logger: EbpfLogger<Collector>,
    collector: Collector,
}

impl fmt::Debug for ProgramMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramMessages").finish_non_exhaustive()
    }
}

impl ProgramMessages {
    /// Opens the buffer of a loaded program.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn open(program: u32) -> Result<Self, DataplaneError> {
        let collector = Collector::default();
        let logger =
            EbpfLogger::init_from_id_with_logger(program, collector.clone()).map_err(|source| {
                DataplaneError::Messages {
                    program,
                    source: Box::new(source),
                }
            })?;
        Ok(Self { logger, collector })
    }

    /// Takes the messages that have come since the last call.
    pub fn take(&mut self) -> Vec<ProgramMessage> {
        self.logger.flush();
        std::mem::take(&mut *self.collector.lock())
    }
}

/// Where aya-log leaves messages: it knows loggers only.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ProgramMessage>>>);

impl Collector {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ProgramMessage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Collector {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.lock().push(ProgramMessage {
            level: match record.level() {
                Level::Error => "error",
                Level::Warn => "warn",
                Level::Info => "info",
                Level::Debug => "debug",
                Level::Trace => "trace",
            },
            text: record.args().to_string(),
        });
    }

    fn flush(&self) {}
}
