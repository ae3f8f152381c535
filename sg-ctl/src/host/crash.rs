//! The points at which an operation may be cut short, for the test that kills sg-ctl at each of them.
//!
//! A debug build kills itself, as `kill -9` does, at the point whose number `SG_CRASH_AT` names:
//! points are numbered from 1 as an operation reaches them. A release build knows nothing of it:
//! `reach` is empty there, and the environment is not asked.

/// Declares the points, once each.
macro_rules! points {
    ($($(#[doc = $doc:literal])* $point:ident = $name:literal,)*) => {
        /// A point after a step that a killed process leaves done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CrashPoint {
            $($(#[doc = $doc])* $point,)*
        }

        impl CrashPoint {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// What a killed process says last.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// The file of the next state exists, empty.
    NextCreated = "next-created",
    /// The next state is on disk.
    NextWritten = "next-written",
    /// The old state has its second name.
    OldLinked = "old-linked",
    /// The next state is the state; the old one is not yet the previous one.
    StateRenamed = "state-renamed",
    /// The operation is over.
    Committed = "committed",
    /// Of a state that is taken back the second name of the old one is gone.
    OldForgotten = "old-forgotten",
    /// What to do about an interrupted operation is decided.
    RecoveryDecided = "recovery-decided",
    /// The kernel is as the decision wants it; the state is not.
    RecoveryInForce = "recovery-in-force",
    /// The shared maps are pinned, the clock is not.
    MapsPinned = "maps-pinned",
    /// The clock is pinned.
    ClockPinned = "clock-pinned",
    /// The settings of an interface are written.
    SettingsWritten = "settings-written",
    /// A program that judges stands at its place.
    ProgramPut = "program-put",
    /// The directory of an interface's links exists.
    ZoneCreated = "zone-created",
    /// A program is at its hook by a link that nothing holds yet.
    LinkMade = "link-made",
    /// The link is pinned.
    LinkPinned = "link-pinned",
    /// The new image is in a map of its own.
    ImageFilled = "image-filled",
    /// That map is pinned.
    ImagePinned = "image-pinned",
    /// That map is where programs look for it, if they look for its size.
    ImageReplaced = "image-replaced",
    /// They look for its size.
    ClassSelected = "class-selected",
    /// The image's pin has its place.
    ImageRenamed = "image-renamed",
    /// Connections are about to become flows.
    Seeding = "seeding",
    /// Counters begin anew.
    CountersReset = "counters-reset",
    /// A link has lost its program.
    LinkDetached = "link-detached",
    /// The pins of an interface are gone.
    ZoneRemoved = "zone-removed",
    /// All pins are gone.
    PinsRemoved = "pins-removed",
    /// The flows of an isolated interface are gone.
    FlowsCut = "flows-cut",
    /// New programs are loaded.
    ProgramsLoaded = "programs-loaded",
    /// It is no longer known whose programs an interface has.
    BuildForgotten = "build-forgotten",
    /// A hook has its new program.
    ProgramReplaced = "program-replaced",
    /// It is known whose programs the interface has.
    BuildNoted = "build-noted",
    /// What holds programs of another layout is pinned here, too.
    PinnedAnew = "pinned-anew",
    /// All hooks have their new programs, and drop nothing yet.
    Moved = "moved",
    /// Flows are in the new table.
    FlowsCopied = "flows-copied",
    /// The clock is replaced.
    ClockReplaced = "clock-replaced",
}

/// Says that an operation has got so far.
#[cfg(debug_assertions)]
pub(crate) fn reach(point: CrashPoint) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static REACHED: AtomicUsize = AtomicUsize::new(0);

    let Ok(wanted) = std::env::var("SG_CRASH_AT") else {
        return;
    };
    let number = REACHED.fetch_add(1, Ordering::Relaxed) + 1;
    if wanted.parse() == Ok(number) {
        // Whoever reads it asserts that it came.
        let _ = writeln!(std::io::stderr(), "{}", point.name());
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Says that an operation has got so far, to nobody.
#[cfg(not(debug_assertions))]
pub(crate) const fn reach(_point: CrashPoint) {}
