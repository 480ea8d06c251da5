//! Random histories of a service: clocks that move, restarts, pauses, and schedules that change. Whatever happens, the
//! intervals tile time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;

const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Pacific/Kwajalein",
];

const HOUR_MICROS: i64 = 3_600_000_000;

/// Runs 10,000 seeds; `SCHEDULE_SEEDS` gives another number (`1000000`) or one seed (`=77`).
fn each_seed(test: impl Fn(&mut fastrand::Rng)) {
    let wanted = std::env::var("SCHEDULE_SEEDS").unwrap_or_else(|_| "10000".into());
    let seeds = match wanted.strip_prefix('=') {
        Some(seed) => {
            let seed: u64 = seed.parse().expect("a seed");
            seed..seed + 1
        }
        None => 0..wanted.parse().expect("a number of seeds"),
    };
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&mut random))) {
            eprintln!("SCHEDULE_SEEDS=={seed} repeats this failure");
            resume_unwind(panic);
        }
    }
}

/// A moment between 1993 and 2030: in these years dates were skipped, and zones changed their rules.
fn random_moment(random: &mut fastrand::Rng) -> Moment {
    let from = moment("1993-01-01").0;
    Moment(random.i64(from..moment("2030-01-01").0))
}

fn random_schedule(random: &mut fastrand::Rng) -> Schedule {
    let every = [
        "5 minutes",
        "7 minutes",
        "90 minutes",
        "hour",
        "6 hours",
        "day",
        "day",
        "week",
    ];
    let mut parts = parts(every[random.usize(..every.len())]);
    let is_calendar = matches!(parts.every.to_string().as_str(), "day" | "week");
    if is_calendar && random.u8(..4) > 0 {
        parts.timezone = Some(ZONES[random.usize(..ZONES.len())].to_owned());
        parts.offset_hour = random.bool().then(|| random.u8(..24));
    }
    if parts.every.to_string() == "week" && random.bool() {
        parts.offset_day = Some(Weekday::from_number(random.u64(..7)).expect("a day"));
    }
    parts.catch_up = random.bool().then(|| random.u32(..40));
    parts.settle = Duration::from_secs(random.u64(..=7_200));
    parts.jitter = Duration::from_secs(random.u64(..300));
    made(parts)
}

/// How far a clock moves between two looks: mostly a little, sometimes by days, sometimes back.
fn random_move(random: &mut fastrand::Rng, schedule: &Schedule) -> i64 {
    let period = i64::try_from(schedule.every().period().as_micros()).expect("a length");
    match random.u8(..10) {
        0 => -random.i64(0..=3 * period),
        1 => random.i64(0..=60 * period),
        2 => -random.i64(0..=HOUR_MICROS),
        _ => random.i64(0..=3 * period),
    }
}

#[test]
fn whatever_happens_the_intervals_tile_time() {
    each_seed(|random| {
        let mut schedule = random_schedule(random);
        let mut now = random_moment(random);
        let first = schedule.first(now);
        assert!(first <= now && schedule.is_boundary(first));
        let mut covered = first;
        // The latest moment that any interval may end at.
        let mut settled = i64::MIN;
        for _ in 0..random.usize(1..15) {
            now = Moment(now.0 + random_move(random, &schedule));
            if random.u8(..6) == 0 {
                schedule = random_schedule(random);
            }
            if random.u8(..5) == 0 {
                continue; // paused
            }
            settled = settled.max(now.0 - schedule.settle().as_micros() as i64);
            let due = schedule.due("archive", covered, now);
            let is_lost = random.u8(..8) == 0; // killed before it was written down: asked again, from the same state
            let mut end = covered;
            for window in due.skip.iter().chain(&due.run) {
                assert_eq!(window.start(), Some(end), "a gap or an overlap");
                assert!(window.end() > end, "an empty interval");
                assert!(window.end().0 <= settled, "an interval that has not ended and settled");
                assert!(schedule.is_boundary(window.end()));
                assert_eq!(
                    window.end(),
                    schedule.boundary_after(end),
                    "an interval over a boundary"
                );
                end = window.end();
            }
            assert_eq!(due.covered, end);
            assert!(due.run.len() <= schedule.catch_up() as usize + 1);
            let may_skip = due.more || due.run.len() == schedule.catch_up() as usize + 1;
            assert!(due.skip.is_empty() || may_skip, "skipped for no reason");
            if !due.more {
                let after = schedule.due("archive", end, now);
                assert!(after.run.is_empty() && after.skip.is_empty(), "not everything was told");
                let next = due.next.expect("no end");
                assert!(next > now);
                assert_eq!(schedule.due("archive", end, next).run.len(), 1, "asked too early");
            }
            if !is_lost {
                covered = end;
            }
        }
    });
}

#[test]
fn boundaries_are_the_same_from_both_sides() {
    each_seed(|random| {
        let schedule = random_schedule(random);
        let at = random_moment(random);
        let before = schedule.boundary_at_or_before(at);
        let after = schedule.boundary_after(at);
        assert!(before <= at && at < after, "{before} {at} {after}");
        assert_eq!(schedule.boundary_after(before), after);
        assert_eq!(schedule.boundary_at_or_before(after), after);
        assert_eq!(schedule.boundary_at_or_before(Moment(after.0 - 1)), before);
        // Zones change their offset by a day at most.
        let period = schedule.every().period().as_micros() as i64;
        assert!(after.0 - before.0 <= period + 25 * HOUR_MICROS, "{before} {after}");
        assert!(after.0 - before.0 >= period - 25 * HOUR_MICROS, "{before} {after}");
    });
}

#[test]
fn start_and_end_cut_the_tiles_and_nothing_else() {
    each_seed(|random| {
        let plain = random_schedule(random);
        let start = random_moment(random);
        let length = random.i64(1..=40 * plain.every().period().as_micros() as i64);
        let mut parts = plain.parts().clone();
        (parts.start_at, parts.end_at) = (Some(start), Some(Moment(start.0 + length)));
        let Ok(bounded) = Schedule::new(parts) else {
            return;
        };
        let (from, to) = (
            plain.boundary_at_or_after(start),
            plain.boundary_at_or_before(Moment(start.0 + length)),
        );
        let expect: Vec<Interval> = plain.windows(from, to).collect();
        let due = bounded.due("archive", plain.boundary_at_or_before(start), Moment(i64::MAX));
        let told: Vec<Interval> = due.skip.iter().chain(&due.run).copied().collect();
        assert_eq!(told, expect);
        assert_eq!(due.next, None);
    });
}
