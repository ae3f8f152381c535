//! VLAN tags: two are followed, and each VLAN has flows of its own.

use crate::prelude::*;

fn filter(place: Place) -> Filter {
    let sources = "[203.0.113.7/32, '2001:db8:cb::7/128']";
    Filter::with_group(
        place,
        &format!("inbound: [{{ protocol: udp, ports: 9000, sources: {sources} }}]\noutbound: []"),
    )
}

fn datagram(family: Family, port: u16, tags: &[u16]) -> Frame {
    let packet = udp((family.remote(), 40000), (family.local(), port));
    tags.iter().fold(packet, |packet, id| packet.vlan(*id))
}

#[rstest]
#[case::untagged(&[])]
#[case::one_tag(&[5])]
#[case::two_tags(&[100, 5])]
#[case::a_priority_tag(&[0])]
#[case::the_last_id(&[4095])]
fn tagged_frames_are_judged_by_what_they_carry(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[case] tags: &[u16],
) {
    let filter = filter(place);
    let admitted = datagram(family, 9000, tags);
    let seen = filter.inbound(&admitted);
    seen.passes(Reason::New);
    let mut vlan = [0; 2];
    vlan[..tags.len()].copy_from_slice(tags);
    assert_eq!(seen.event().vlan, vlan);
    assert_eq!(filter.only_flow().0.vlan(), vlan);
    filter
        .outbound(&admitted.reply())
        .passes(Reason::Established);
    filter
        .inbound(&datagram(family, 9001, tags))
        .drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn a_third_tag_is_dropped(place: Place, family: Family) {
    let filter = filter(place);
    for tags in [&[1, 2, 3][..], &[1, 2, 3, 4]] {
        let frame = datagram(family, 9000, tags);
        filter.inbound(&frame).drops(Reason::VlanDepth);
        filter.outbound(&frame.reply()).drops(Reason::VlanDepth);
    }
}

#[apply(everywhere_in_both_families)]
fn each_vlan_has_flows_of_its_own(place: Place, family: Family) {
    let filter = filter(place);
    filter
        .inbound(&datagram(family, 9000, &[5]))
        .passes(Reason::New);
    for tags in [&[][..], &[6], &[5, 6], &[6, 5]] {
        filter
            .outbound(&datagram(family, 9000, tags).reply())
            .drops(Reason::NoRule);
    }
    filter
        .outbound(&datagram(family, 9000, &[5]).reply())
        .passes(Reason::Established);
}

#[apply(everywhere)]
fn what_is_below_ip_passes_in_a_vlan_too(place: Place) {
    let filter = filter(place);
    let tagged = |ether_type: u16| {
        let [high, low] = ether_type.to_be_bytes();
        ethernet(0x8100, &[&[0, 5, high, low][..], &[0; 42]].concat())
    };
    filter.inbound(&tagged(0x0806)).passes(Reason::InfraArp);
    filter.inbound(&tagged(0x88cc)).passes(Reason::InfraNonIp);
}
