//! What tests of single frames need, and the cases that most of them share.

pub(crate) use rstest::rstest;
pub(crate) use rstest_reuse::apply;
pub(crate) use sg_common::{flow::FlowState, reason::Reason};
pub(crate) use sg_tests::{
    family::Family::{self, V4, V6},
    packet::{Frame, ethernet, icmp, icmp_error, ip, ping, tcp, udp},
    prog::{Filter, NIC_TC, NIC_XDP, Place, WORKLOAD_TC, WORKLOAD_XDP},
};

use rstest_reuse::template;

/// Every program in every role.
#[template]
#[rstest]
pub(crate) fn everywhere(#[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place) {}

/// Every program in every role, with packets of both families.
#[template]
#[rstest]
pub(crate) fn everywhere_in_both_families(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
) {
}
