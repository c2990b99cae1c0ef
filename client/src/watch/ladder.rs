//! Which transport to use: pure, so that its rules are tested without a network and without time.
//!
//! Invariant: only a transport that fails where a plain request has just succeeded is given up, and a way down is
//! always followed by tries to come back up, at growing distances. An answer that says "nothing new" and an end that was
//! announced change nothing. What is deliberately absent: addresses and back-off, which are about servers that fail.

use std::time::Duration;

use tokio::time::Instant;

use super::{Transport, TransportChoice};
use crate::backoff::Jitter;

/// Life after which a cut is no fault of the transport: long enough for every common proxy's limit of a minute.
pub(super) const PROVEN: Duration = Duration::from_secs(90);
/// Strikes after which a transport is left: two that were held back, or three that were cut.
const STRIKES_MAX: u32 = 6;
const HELD_BACK: u32 = 3;
const CUT: u32 = 2;
/// Pause before the better transport is tried for the first time, and the longest one; it doubles in between.
const CLIMB_FIRST: Duration = Duration::from_mins(1);
const CLIMB_MAX: Duration = Duration::from_mins(30);

/// What was seen of the transport in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// There is no such thing here.
    Absent,
    /// It was accepted, and not a byte came in time.
    HeldBack,
    /// It ended, unannounced, after this life.
    Cut(Duration),
    /// It did what it is for.
    Good,
}

#[derive(Debug)]
pub(super) struct Ladder {
    /// Best first.
    rungs: Vec<Rung>,
    at: usize,
    strikes: u32,
    /// The present transport is a try: its first fault ends it.
    trying: bool,
    climb_at: Option<Instant>,
    jitter: Jitter,
}

#[derive(Debug)]
struct Rung {
    transport: Transport,
    /// How long to stay below it before it is tried again.
    pause: Duration,
}

impl Ladder {
    pub(super) fn new(choice: TransportChoice, jitter: Jitter) -> Self {
        let socket = match choice {
            TransportChoice::Auto => None,
            TransportChoice::Socket => Some(Transport::Socket),
        };
        let rest = [Transport::Stream, Transport::LongPoll, Transport::Poll];
        let rung = |transport| Rung {
            transport,
            pause: CLIMB_FIRST,
        };
        Self {
            rungs: socket.into_iter().chain(rest).map(rung).collect(),
            at: 0,
            strikes: 0,
            trying: false,
            climb_at: None,
            jitter,
        }
    }

    pub(super) fn transport(&self) -> Transport {
        self.rungs
            .get(self.at)
            .map_or(Transport::Poll, |rung| rung.transport)
    }

    /// When to try a better transport; a transport that works on and on is interrupted for it.
    pub(super) fn climb_at(&self) -> Option<Instant> {
        self.climb_at
    }

    /// Takes the better transport for a try if it is time.
    pub(super) fn climb(&mut self, now: Instant) {
        if self.climb_at.is_some_and(|at| at <= now) && self.at > 0 {
            self.at -= 1;
            self.strikes = 0;
            self.trying = true;
            self.climb_at = None;
        }
    }

    pub(super) fn saw(&mut self, seen: Seen, now: Instant) {
        let strikes = match seen {
            Seen::Absent => STRIKES_MAX,
            Seen::HeldBack => HELD_BACK,
            Seen::Cut(lived) if lived < PROVEN => CUT,
            Seen::Cut(_) | Seen::Good => return self.good(now),
        };
        self.strikes += strikes;
        if self.trying || self.strikes >= STRIKES_MAX {
            self.descend(now);
        }
    }

    fn good(&mut self, now: Instant) {
        self.strikes = 0;
        if std::mem::replace(&mut self.trying, false) {
            self.plan_climb(now);
        }
        if let Some(rung) = self.rungs.get_mut(self.at) {
            rung.pause = CLIMB_FIRST;
        }
    }

    fn descend(&mut self, now: Instant) {
        // Plain polling is the last resort: what ails it is the server.
        if self.at + 1 < self.rungs.len() {
            self.at += 1;
        }
        self.strikes = 0;
        self.trying = false;
        self.plan_climb(now);
    }

    /// Sets when the next better transport is tried, spread so that clients behind one proxy do not try together.
    fn plan_climb(&mut self, now: Instant) {
        let spread = 0.8 + 0.4 * self.jitter.fraction();
        let above = self.at.checked_sub(1).and_then(|above| self.rungs.get_mut(above));
        self.climb_at = above.map(|rung| {
            let pause = rung.pause;
            rung.pause = CLIMB_MAX.min(pause * 2);
            now + pause.mul_f64(spread)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BRIEF: Seen = Seen::Cut(Duration::from_secs(20));

    fn ladder(choice: TransportChoice) -> Ladder {
        Ladder::new(choice, Jitter::seeded(1))
    }

    /// The transport after each of these.
    fn after(ladder: &mut Ladder, seen: &[Seen], now: Instant) -> Transport {
        for seen in seen {
            ladder.saw(*seen, now);
        }
        ladder.transport()
    }

    /// Waits until the next climb and gives how long that was.
    fn climb(ladder: &mut Ladder, now: &mut Instant) -> Duration {
        let wait = ladder.climb_at().unwrap() - *now;
        *now += wait;
        ladder.climb(*now);
        wait
    }

    #[test]
    fn two_streams_held_back_or_three_cut_early_lead_to_long_polls() {
        let now = Instant::now();
        for seen in [
            [Seen::HeldBack; 2].as_slice(),
            &[BRIEF; 3],
            &[BRIEF, BRIEF, Seen::HeldBack],
        ] {
            let (last, before) = seen.split_last().unwrap();
            let mut ladder = ladder(TransportChoice::Auto);
            assert_eq!(after(&mut ladder, before, now), Transport::Stream);
            assert_eq!(after(&mut ladder, &[*last], now), Transport::LongPoll);
        }
    }

    #[test]
    fn long_polls_that_are_cut_too_lead_to_plain_polling_and_no_further() {
        let now = Instant::now();
        let mut ladder = ladder(TransportChoice::Auto);
        assert_eq!(after(&mut ladder, &[Seen::Absent], now), Transport::LongPoll);
        assert_eq!(after(&mut ladder, &[BRIEF; 3], now), Transport::Poll);
        assert_eq!(after(&mut ladder, &[BRIEF; 9], now), Transport::Poll);
    }

    #[test]
    fn a_stream_that_lived_long_and_a_poll_that_was_held_wipe_the_slate() {
        let now = Instant::now();
        for good in [Seen::Good, Seen::Cut(PROVEN)] {
            let mut ladder = ladder(TransportChoice::Auto);
            let seen = [BRIEF, BRIEF, good, BRIEF, BRIEF, good, BRIEF, BRIEF];
            assert_eq!(after(&mut ladder, &seen, now), Transport::Stream);
        }
    }

    #[test]
    fn a_socket_that_cannot_be_had_gives_way_to_a_stream() {
        let mut ladder = ladder(TransportChoice::Socket);
        assert_eq!(ladder.transport(), Transport::Socket);
        assert_eq!(
            after(&mut ladder, &[Seen::Absent], Instant::now()),
            Transport::Stream
        );
    }

    #[test]
    fn the_better_transport_is_tried_at_growing_distances_and_one_fault_ends_a_try() {
        let mut now = Instant::now();
        let mut ladder = ladder(TransportChoice::Auto);
        after(&mut ladder, &[Seen::Absent], now);
        let mut minutes = Vec::new();
        for _ in 0..8 {
            let wait = climb(&mut ladder, &mut now);
            assert_eq!(ladder.transport(), Transport::Stream);
            assert_eq!(after(&mut ladder, &[Seen::HeldBack], now), Transport::LongPoll);
            minutes.push(wait.as_secs_f64() / 60.0);
        }
        for (waited, planned) in minutes.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
            assert!((0.8..=1.2).contains(&(waited / planned)), "{minutes:?}");
        }
    }

    #[test]
    fn from_the_last_resort_the_way_up_goes_step_by_step() {
        let mut now = Instant::now();
        let mut ladder = ladder(TransportChoice::Socket);
        after(&mut ladder, &[Seen::Absent, Seen::Absent, Seen::Absent], now);
        assert_eq!(ladder.transport(), Transport::Poll);
        let mut way = Vec::new();
        for _ in 0..3 {
            climb(&mut ladder, &mut now);
            way.push(after(&mut ladder, &[Seen::Good], now));
        }
        assert_eq!(way, [Transport::LongPoll, Transport::Stream, Transport::Socket]);
        assert_eq!(ladder.climb_at(), None);
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            Just(Seen::Absent),
            Just(Seen::HeldBack),
            (0_u64..200).prop_map(|s| Seen::Cut(Duration::from_secs(s))),
            Just(Seen::Good),
        ]
    }

    proptest! {
        #[test]
        fn below_the_top_there_is_always_a_way_up_within_36_minutes(
            seen in proptest::collection::vec((any_seen(), 0_u64..600), 0..60),
            seed: u64,
        ) {
            let mut ladder = Ladder::new(TransportChoice::Socket, Jitter::seeded(seed));
            let mut now = Instant::now();
            for (seen, pause) in seen {
                now += Duration::from_secs(pause);
                ladder.climb(now);
                ladder.saw(seen, now);
                let top = ladder.transport() == Transport::Socket;
                prop_assert!(top || ladder.trying || ladder.climb_at().is_some());
                prop_assert!(ladder.climb_at().is_none_or(|at| at <= now + Duration::from_mins(36)));
            }
        }
    }
}
