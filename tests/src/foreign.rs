//! Kernel programs of somebody else, at XDP and TC, that pass everything, and what others do to our
//! links.

use std::{
    ffi::CString,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions, Xdp,
        XdpMode,
        links::{FdLink, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions},
        xdp::XdpLink,
    },
};
use aya_obj::generated::{bpf_attr, bpf_cmd};
use nix::{errno::Errno, libc, net::if_::if_nametoindex};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, StandardSegment, Symbol, SymbolSection},
};

use crate::netns::Namespace;

/// Its name.
pub const NAME: &str = "passes_all";

/// An XDP program, taken away when dropped.
#[derive(Debug)]
pub struct ForeignXdp {
    programs: Ebpf,
}

impl ForeignXdp {
    /// Loads it.
    pub fn load() -> Self {
        let mut programs = Ebpf::load(&elf("xdp", 2)).expect("the object is sound");
        let program = programs.program_mut(NAME).expect("it is in the object");
        let program: &mut Xdp = program.try_into().expect("it is an XDP program");
        program.load().expect("the kernel takes it");
        Self { programs }
    }

    /// Attaches it to an interface.
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        let mut loaded = Self::load();
        let program = loaded.programs.program_mut(NAME).expect("it is loaded");
        let program: &mut Xdp = program.try_into().expect("it is an XDP program");
        namespace
            .enter(|| program.attach(interface, XdpMode::Skb))
            .expect("the interface has no XDP program");
        loaded
    }

    /// Makes an interface receive a frame: as if this program had seen it first.
    pub fn inject(&self, namespace: &Namespace, interface: &str, frame: &[u8]) {
        let program = self.programs.program(NAME).expect("it is loaded");
        let program: &Xdp = program.try_into().expect("it is an XDP program");
        namespace.enter(|| {
            let index = if_nametoindex(interface).expect("there is such an interface");
            // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
            let context: Vec<u8> = [0, frame.len() as u32, 0, index, 0, 0]
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect();
            let options = TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                attrs: TestRunAttrs::new().xdp_live_frames(1),
                ..TestRunOptions::default()
            };
            program.test_run(options).expect("the kernel takes it");
        });
    }
}

/// A TC program, taken away when dropped.
#[derive(Debug)]
pub struct ForeignTc {
    programs: Ebpf,
}

impl ForeignTc {
    /// Loads it.
    pub fn load() -> Self {
        let programs = Ebpf::load(&elf("classifier", 0)).expect("the object is sound");
        let mut loaded = Self { programs };
        loaded.program().load().expect("the kernel takes it");
        loaded
    }

    fn program(&mut self) -> &mut SchedClassifier {
        let program = self
            .programs
            .program_mut(NAME)
            .expect("it is in the object");
        program.try_into().expect("it is a TC program")
    }

    /// Attaches it before all others of an interface's TCX hook.
    pub fn attach(namespace: &Namespace, interface: &str, at: TcAttachType) -> Self {
        let mut loaded = Self::load();
        namespace.enter(|| loaded.attach_here(interface, at));
        loaded
    }

    /// The same in the network namespace of this thread; it may be attached to several.
    pub fn attach_here(&mut self, interface: &str, at: TcAttachType) {
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        let attached = self.program().attach_with_options(interface, at, first);
        attached.expect("there is such an interface");
    }

    /// Puts it into the place of the program of a pinned TCX link.
    pub fn replace(pin: &Path) -> Self {
        let mut loaded = Self::load();
        let link = SchedClassifierLink::try_from(link(pin)).expect("it is a TCX link");
        let replaced = loaded.program().attach_to_link(link);
        replaced.expect("the kernel takes it");
        loaded
    }
}

impl ForeignXdp {
    /// Puts it into the place of the program of a pinned XDP link.
    pub fn replace(pin: &Path) -> Self {
        let mut loaded = Self::load();
        let program = loaded.programs.program_mut(NAME).expect("it is loaded");
        let program: &mut Xdp = program.try_into().expect("it is an XDP program");
        let link = XdpLink::try_from(link(pin)).expect("it is an XDP link");
        program.attach_to_link(link).expect("the kernel takes it");
        loaded
    }
}

fn link(pin: &Path) -> FdLink {
    PinnedLink::from_pin(pin).expect("it is a link").into()
}

/// Takes the program of a pinned link off its hook, as `bpftool link detach` does; the pin stays.
#[expect(
    unsafe_code,
    reason = "aya has no functions for two commands of bpf(2)"
)]
pub fn detach(pin: &Path) {
    let path = CString::new(pin.as_os_str().as_bytes()).expect("a path");
    // SAFETY: a union of structs of integers, for which zero is a value.
    let zeroed = || unsafe { MaybeUninit::<bpf_attr>::zeroed().assume_init() };
    let call = |command: bpf_cmd, mut attr: bpf_attr| {
        // SAFETY: the path, the only thing pointed to, lives until the end of the function.
        let result = unsafe {
            let attr = std::ptr::from_mut(&mut attr);
            libc::syscall(libc::SYS_bpf, command as i64, attr, size_of::<bpf_attr>())
        };
        Errno::result(result).expect("it is a link of root's")
    };
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let fd = call(bpf_cmd::BPF_OBJ_GET, attr) as i32;
    // SAFETY: a new descriptor, which nobody else has.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut attr = zeroed();
    attr.link_detach.link_fd = link.as_raw_fd().cast_unsigned();
    call(bpf_cmd::BPF_LINK_DETACH, attr);
}

/// The object file: `return VERDICT;`.
fn elf(section: &str, verdict: u8) -> Vec<u8> {
    // `r0 = VERDICT; exit` (include/uapi/linux/bpf.h).
    let code = [0xb7, 0, 0, 0, verdict, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let segment = object.segment_name(StandardSegment::Text).to_vec();
    let text = object.add_section(segment, section.into(), SectionKind::Text);
    object.append_section_data(text, &code, 8);
    object.add_symbol(Symbol {
        name: NAME.into(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().expect("in memory")
}
