//! UDP, and protocols without ports.

use super::*;

const OPENER: bool = false;
const ANSWERER: bool = true;

#[test]
fn udp_becomes_a_stream_with_the_second_answer() {
    let walk = |sides: &[bool]| {
        sides.iter().fold(FlowState::UDP_UNANSWERED, |state, side| {
            udp_step(state, *side)
        })
    };
    assert_eq!(walk(&[OPENER]), FlowState::UDP_UNANSWERED);
    assert_eq!(walk(&[ANSWERER, ANSWERER]), FlowState::UDP_ANSWERED);
    assert_eq!(walk(&[ANSWERER, OPENER]), FlowState::UDP_ASKED_AGAIN);
    assert_eq!(walk(&[ANSWERER, OPENER, ANSWERER]), FlowState::UDP_STREAM);
}
