//! Captures in every form, written here byte by byte.

use super::*;

/// Time, link type, bytes captured and original length of the packets of a file, and how it
/// ends.
type Read = (
    Vec<(Option<u64>, u16, usize, usize)>,
    Result<(), CaptureError>,
);

fn read(bytes: &[u8]) -> Read {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("writable");
    let mut capture = Capture::open(file.path()).expect("a capture");
    let mut packets = Vec::new();
    loop {
        match capture.next_packet() {
            Ok(Some(p)) => packets.push((p.time, p.link, p.data.len(), p.original)),
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error)),
        }
    }
}

/// A pcap file of one packet of 3 bytes, of 60, in the byte order that `word` writes.
fn pcap(magic: u32, word: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let version = word(0x0002_0004);
    let version = if word(1)[0] == 1 {
        [2, 0, 4, 0]
    } else {
        version
    };
    let words = |words: &[u32]| words.iter().copied().flat_map(word).collect::<Vec<_>>();
    [
        &word(magic)[..],
        &version,
        &words(&[0, 0, 262_144, 1, 7, 5, 3, 60]),
        &[1, 2, 3],
    ]
    .concat()
}

#[test]
fn pcap_is_read_in_either_byte_order_and_unit_of_time() {
    for (magic, nanoseconds) in [(0xa1b2_c3d4, 5000), (0xa1b2_3c4d, 5)] {
        for word in [u32::to_le_bytes, u32::to_be_bytes] {
            let (packets, end) = read(&pcap(magic, word));
            assert_eq!(packets, [(Some(7_000_000_000 + nanoseconds), 1, 3, 60)]);
            assert!(end.is_ok());
        }
    }
}

#[test]
fn what_comes_before_the_end_of_a_cut_file_is_read() {
    let whole = pcap(0xa1b2_c3d4, u32::to_le_bytes);
    let twice = [&whole[..], &whole[24..]].concat();
    for length in whole.len() + 1..twice.len() {
        let (packets, end) = read(&twice[..length]);
        assert_eq!(packets.len(), 1, "{length}");
        assert!(matches!(end, Err(CaptureError::CutOff { packets: 1, .. })));
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

#[test]
fn pcapng_has_interfaces_of_its_own_each_and_packets_without_time() {
    let section = block(
        0x0a0d_0d0a,
        &[
            0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
        ],
    );
    let ethernet = block(1, &[1, 0, 0, 0, 0, 0, 0, 0]);
    // Raw IP, in nanoseconds.
    let raw = block(
        1,
        &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    );
    let enhanced = |interface: u8| {
        let mut body = [0; 20];
        body[0] = interface;
        body[8] = 50;
        body[12] = 2;
        body[16] = 9;
        block(6, &[&body[..], &[1, 2, 0, 0]].concat())
    };
    let simple = block(3, &[0, 0, 0, 0]);
    let file = [section, ethernet, raw, enhanced(0), enhanced(1), simple].concat();
    let (packets, end) = read(&file);
    assert_eq!(
        packets,
        [
            (Some(50_000), 1, 2, 9),
            (Some(50), 101, 2, 9),
            (None, 1, 0, 0),
        ]
    );
    assert!(end.is_ok());
    let (packets, end) = read(&[&file[..], &enhanced(2)].concat());
    assert_eq!(packets.len(), 3);
    assert!(matches!(end, Err(CaptureError::Damaged { .. })));
}

/// A pcapng file in one byte order.
struct Ng {
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Ng {
    fn new(big_endian: bool) -> Self {
        let mut this = Self {
            big_endian,
            bytes: Vec::new(),
        };
        let mut body = this.words(&[0x1a2b_3c4d]);
        body.extend([this.half(1), this.half(0)].concat());
        body.extend([0xff; 8]);
        this.block(0x0a0d_0d0a, &body);
        this
    }

    fn half(&self, number: u16) -> [u8; 2] {
        if self.big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn words(&self, words: &[u32]) -> Vec<u8> {
        let order = if self.big_endian {
            u32::to_be_bytes
        } else {
            u32::to_le_bytes
        };
        words.iter().copied().flat_map(order).collect()
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = body.len() as u32 + 12;
        let head = self.words(&[kind, length]);
        let tail = self.words(&[length]);
        self.bytes.extend([&head[..], body, &tail].concat());
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.half(code), self.half(value.len() as u16)].concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    /// An interface whose units of time are told by `resolution`, with these seconds to add.
    fn interface(mut self, resolution: u8, offset: i64) -> Self {
        let offset = if self.big_endian {
            offset.to_be_bytes()
        } else {
            offset.to_le_bytes()
        };
        let body = [
            &self.half(1)[..],
            &[0; 6],
            &self.option(9, &[resolution]),
            &self.option(14, &offset),
            &[0; 4],
        ];
        self.block(1, &body.concat());
        self
    }

    /// An Enhanced Packet Block of three bytes, of nine, that was sent.
    fn enhanced(mut self, units: u64) -> Self {
        let head = self.words(&[0, (units >> 32) as u32, units as u32, 3, 9]);
        let flags = self.option(2, &self.words(&[2]));
        let body = [&head[..], &[1, 2, 3, 0], &flags, &[0; 4]].concat();
        self.block(6, &body);
        self
    }

    /// The same as an old Packet Block.
    fn old(mut self, units: u64) -> Self {
        let index = [self.half(0), self.half(7)].concat();
        let head = self.words(&[(units >> 32) as u32, units as u32, 3, 9]);
        let flags = self.option(2, &self.words(&[2]));
        let body = [&index[..], &head, &[1, 2, 3, 0], &flags, &[0; 4]].concat();
        self.block(2, &body);
        self
    }
}

/// Time, bytes and way of the only packet of a file.
fn only(bytes: &[u8]) -> (Option<u64>, Vec<u8>, usize, Option<bool>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("writable");
    let mut capture = Capture::open(file.path()).expect("a capture");
    let packet = capture.next_packet().expect("whole").expect("a packet");
    let found = (
        packet.time,
        packet.data.to_vec(),
        packet.original,
        packet.sent,
    );
    assert!(capture.next_packet().expect("whole").is_none());
    found
}

#[test]
fn pcapng_times_are_read_in_every_resolution_offset_and_byte_order() {
    // 1000.5 s in units of 10^-n and 2^-n.
    let cases: [(u8, u64); 8] = [
        (1, 10_005),
        (3, 1_000_500),
        (6, 1_000_500_000),
        (9, 1_000_500_000_000),
        (12, 1_000_500_000_000_000),
        (0x81, 2_001),
        (0x94, 2_001 << 19),
        (0xb2, 2_001 << 49),
    ];
    for big_endian in [false, true] {
        for (resolution, units) in cases {
            for (offset, expected) in [(0, 1_000_500_000_000), (500, 1_500_500_000_000)] {
                let ng = Ng::new(big_endian).interface(resolution, offset);
                let found = only(&ng.enhanced(units).bytes);
                assert_eq!(
                    found,
                    (Some(expected), vec![1, 2, 3], 9, Some(true)),
                    "{big_endian} {resolution:#x} {offset}"
                );
            }
        }
    }
}

#[test]
fn old_packet_blocks_are_read_in_either_byte_order() {
    for big_endian in [false, true] {
        let file = Ng::new(big_endian).interface(6, 0).old(1_000_500_000);
        let found = only(&file.bytes);
        let expected = (Some(1_000_500_000_000), vec![1, 2, 3], 9, Some(true));
        assert_eq!(found, expected, "{big_endian}");
        // One that says more bytes than it has.
        let mut cut = Ng::new(big_endian).interface(6, 0);
        let body = [vec![0; 4], cut.words(&[0, 0, 9, 9]), vec![0; 4]].concat();
        cut.block(2, &body);
        let (packets, end) = read(&cut.bytes);
        assert!(packets.is_empty());
        assert!(matches!(end, Err(CaptureError::Damaged { packets: 0, .. })));
    }
}

#[test]
fn a_file_of_which_nothing_was_read_is_no_success() {
    for file in [
        pcap(0xa1b2_c3d4, u32::to_le_bytes)[..24].to_vec(),
        Ng::new(false).bytes,
        Ng::new(true).interface(6, 0).bytes,
    ] {
        let (packets, end) = read(&file);
        assert!(packets.is_empty());
        assert!(matches!(end, Err(CaptureError::Empty { .. })), "{end:?}");
    }
}
