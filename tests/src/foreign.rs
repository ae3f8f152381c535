//! A kernel program of somebody else: an XDP program that passes everything.

use aya::{
    Ebpf,
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use nix::net::if_::if_nametoindex;
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
        let mut programs = Ebpf::load(&elf()).expect("the object is sound");
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

/// The object file: `return XDP_PASS;`.
fn elf() -> Vec<u8> {
    /// `r0 = 2; exit` (include/uapi/linux/bpf.h).
    const CODE: [u8; 16] = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let segment = object.segment_name(StandardSegment::Text).to_vec();
    let text = object.add_section(segment, b"xdp".to_vec(), SectionKind::Text);
    object.append_section_data(text, &CODE, 8);
    object.add_symbol(Symbol {
        name: NAME.into(),
        value: 0,
        size: CODE.len() as u64,
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
