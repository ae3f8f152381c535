//! Two PPP interfaces at the ends of a serial line: pseudo-terminals whose other sides a thread joins.
//! What `pppd` would negotiate is left as the kernel has it: both ends are of one mind.
#![expect(unsafe_code, reason = "some ioctls")]

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::fd::AsRawFd as _,
};

use nix::{libc, pty::openpty};

use crate::{netns::Namespace, relay::Relay};

/// Name of both interfaces.
pub const NAME: &str = "ppp0";

/// The line discipline of PPP (`include/uapi/linux/tty.h`).
const N_PPP: libc::c_int = 3;
/// Requests of `include/uapi/linux/ppp-ioctl.h`.
const PPPIOCGCHAN: libc::c_ulong = 0x8004_7437;
const PPPIOCATTCHAN: libc::c_ulong = 0x4004_7438;
const PPPIOCCONNECT: libc::c_ulong = 0x4004_743a;
const PPPIOCNEWUNIT: libc::c_ulong = 0xc004_743e;

/// The line. Dropped, it takes both interfaces with it.
pub struct SerialLine {
    // Ends before the terminals do.
    _relay: Relay,
    _ends: [End; 2],
}

/// What keeps an interface.
struct End {
    _terminal: File,
    _channel: File,
    _unit: File,
}

impl SerialLine {
    /// Makes `ppp0` in two namespaces; `None` where the kernel has no PPP, or none for serial lines.
    pub fn between(namespaces: [&Namespace; 2]) -> Option<Self> {
        let made = namespaces.map(|namespace| namespace.enter(open));
        let [Some((near, one)), Some((far, other))] = made else {
            println!("skipped: this kernel has no PPP");
            return None;
        };
        let pass = |to: &mut File, bytes: &[u8]| to.write_all(bytes).expect("it is open");
        Some(Self {
            _relay: Relay::between([one, other], pass),
            _ends: [near, far],
        })
    }
}

/// The device, `None` when there is none or nothing is behind it.
fn device() -> Option<File> {
    match OpenOptions::new().read(true).write(true).open("/dev/ppp") {
        Ok(file) => Some(file),
        Err(error) => {
            let missing = [libc::ENOENT, libc::ENXIO, libc::ENODEV].map(Some);
            assert!(missing.contains(&error.raw_os_error()), "{error}");
            None
        }
    }
}

/// Makes the interface in the namespace of this thread; returns the other side of its terminal, too.
fn open() -> Option<(End, File)> {
    let (channel, unit) = (device()?, device()?);
    let pty = openpty(None, None).expect("there are pseudo-terminals");
    let (line, terminal) = (File::from(pty.master), File::from(pty.slave));
    match ask(&terminal, libc::TIOCSETD, N_PPP) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return None,
        asked => asked.expect("the terminal takes the line discipline"),
    };
    let ask = |file, request, number| ask(file, request, number).expect("PPP obeys");
    let number = ask(&terminal, PPPIOCGCHAN, 0);
    ask(&channel, PPPIOCATTCHAN, number);
    // Any number; the first of a namespace is 0.
    let interface = ask(&unit, PPPIOCNEWUNIT, -1);
    ask(&channel, PPPIOCCONNECT, interface);
    let end = End {
        _terminal: terminal,
        _channel: channel,
        _unit: unit,
    };
    Some((end, line))
}

/// Asks a driver with a number; returns the number that it leaves there.
fn ask(file: &File, request: libc::c_ulong, mut number: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes the number, which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request as _, &raw mut number) };
    if result == 0 {
        Ok(number)
    } else {
        Err(io::Error::last_os_error())
    }
}
