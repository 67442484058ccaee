//! Whether requests kept to the slots that the database granted, and slots to the pace.

use std::collections::VecDeque;

use super::checker::{Found, Promise};
use super::facts::Facts;
use pems_simulator::Fault;

/// How much earlier than its slot a request may seem to arrive: two clocks are compared, each read within a millisecond or so.
const EARLY: f64 = 10.0;
/// How late a request may be for its slot before the slot counts as unused: it leaves at its slot, and may have to connect
/// first, for which a relay here has 1 s. The rest is a busy machine's.
const LATE: f64 = 2_000.0;
/// How far two slots may be too close, from rounding to microseconds.
const ROUNDING: f64 = 0.01;

pub(super) fn pace(facts: &Facts, found: &mut Found) {
    for pair in facts.slots.windows(2) {
        found.unless(pair[1] - pair[0] >= facts.slot_interval - ROUNDING, Promise::Pace, || {
            format!("slots at {:.3} and {:.3} ms are too close", pair[0], pair[1])
        });
    }
    let mut requests: Vec<_> = facts.log.iter().collect();
    requests.sort_by(|a, b| a.arrived_ms.total_cmp(&b.arrived_ms));
    let mut granted = facts.slots.iter().copied().peekable();
    let mut free: VecDeque<f64> = VecDeque::new();
    for request in requests {
        while let Some(slot) = granted.next_if(|slot| *slot <= request.arrived_ms + EARLY) {
            free.push_back(slot);
        }
        while free.front().is_some_and(|slot| slot + LATE < request.arrived_ms) {
            free.pop_front();
        }
        found.unless(free.pop_front().is_some(), Promise::Pace, || {
            format!(
                "request {} ({:?}) arrived at {:.1} ms without a slot",
                request.sequence, request.operation, request.arrived_ms
            )
        });
        let ordered = matches!(request.fault, Some(Fault::Status(429, _)));
        found.unless(request.status != Some(429) || ordered, Promise::Pace, || {
            format!("request {} at {:.1} ms was throttled by PEMS", request.sequence, request.arrived_ms)
        });
    }
}
