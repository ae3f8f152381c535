//! A kernel program of somebody else: an XDP program that passes everything.

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, StandardSegment, Symbol, SymbolSection},
};

use crate::netns::Namespace;

/// Its name.
pub const NAME: &str = "passes_all";

/// An XDP program at an interface, taken away when dropped.
#[derive(Debug)]
pub struct ForeignXdp {
    _programs: Ebpf,
}

impl ForeignXdp {
    /// Attaches it to `interface`.
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        let mut programs = Ebpf::load(&elf()).expect("the object is sound");
        let program = programs.program_mut(NAME).expect("it is in the object");
        let program: &mut Xdp = program.try_into().expect("it is an XDP program");
        program.load().expect("the kernel takes it");
        namespace
            .enter(|| program.attach(interface, XdpMode::Skb))
            .expect("the interface has no XDP program");
        Self {
            _programs: programs,
        }
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
