//! Frames of every kind, cut off after every byte: kernel and oracle agree, and what is cut within
//! its packet never passes.

use sg_common::{flow::Direction, reason::Verdict};
use sg_tests::packet::{Extension, Upper, arp_request, flags, patched};

use crate::prelude::*;

/// Whole frames of every kind that the parser knows, each with the bytes that it needs: up to the
/// end of its IP packet.
fn kinds(family: Family) -> Vec<(Vec<u8>, usize)> {
    let (local, remote) = (family.local(), family.remote());
    let udp = || udp((remote, 40000), (local, 9000)).payload(24);
    let tcp = || tcp((remote, 40000), (local, 9000)).syn();
    let ping = || ping(remote, local, 1).payload(8);
    let about = tcp().reply();
    let error = icmp_error(family.router(), &about, (3, 4), 100);
    let mut options = tcp();
    options.upper = Upper::Tcp(flags::SYN, 20);
    let mut packets = vec![
        udp(),
        tcp(),
        options,
        ping(),
        error,
        ip(remote, local, 47),
        udp().vlan(5),
        tcp().vlan(5).vlan(6),
    ];
    match family {
        V4 => packets.extend([udp().options(&[1; 4]), tcp().options(&[1; 40])]),
        V6 => packets.extend([
            udp().extension(Extension::padding(0, 2)),
            tcp().extension(Extension::authentication()),
            ping().extension(Extension::fragment(3, 0, false)),
            udp()
                .vlan(5)
                .extension(Extension::padding(60, 1))
                .extension(Extension::padding(43, 2)),
            icmp(remote, local, 135, 0).hop_limit(255).payload(16),
        ]),
    }
    let mut frames: Vec<_> = packets.iter().map(Frame::bytes).collect();
    frames.extend(udp().fragments(9, 16));
    let mut kinds: Vec<_> = frames
        .into_iter()
        .map(|frame| {
            let needed = frame.len();
            (frame, needed)
        })
        .collect();
    // Below IP 14 bytes are enough, with tags 4 more each; of three tags two are looked at.
    kinds.push((arp_request([203, 0, 113, 7], [192, 0, 2, 10]), 14));
    kinds.push((ethernet(0x88cc, &[0; 46]), 14));
    let tagged = ethernet(0x8100, &[&[0, 5, 0x88, 0xcc][..], &[0; 42]].concat());
    kinds.push((patched(&tagged, 12, &[0x88, 0xa8]), 18));
    kinds
}

#[apply(everywhere_in_both_families)]
fn a_frame_of_any_kind_cut_anywhere_is_judged_right(place: Place, family: Family) {
    let filter = Filter::with_group(
        place,
        "
        inbound: [{ type: All traffic, sources: [0.0.0.0/0, '::/0'] }]
        outbound: [{ type: All traffic, destinations: [0.0.0.0/0, '::/0'] }]
        ",
    );
    for (frame, needed) in kinds(family) {
        for length in 14..=frame.len() {
            for direction in Direction::ALL {
                let cut = &frame[..length];
                if !place.takes(direction, cut) {
                    continue;
                }
                // The oracle is asked, too.
                let seen = filter.judge(direction, cut);
                let reason = seen.reason().expect("it was judged");
                let verdict = reason.verdict();
                let whole = length >= needed;
                assert_eq!(
                    verdict == Verdict::Pass,
                    whole,
                    "{length} bytes of {frame:02x?}: {}",
                    reason.name()
                );
                if whole {
                    seen.passes(reason);
                } else {
                    seen.drops(reason);
                }
            }
        }
    }
}
