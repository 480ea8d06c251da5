//! Who gets a slot.

use super::*;
use crate::ledger::{BackfillOrder, Due};
use batch_export_runner::Header;
use batch_export_runner::exporter::run_id;

fn backfill(world: &World, name: &str, hours: i64, runs_at_once: u32) -> i64 {
    let start = at("2026-01-01T00:00Z");
    let runs = (0..hours).map(|hour| {
        let interval = batch_export_source::Interval::new(
            Some(Moment(start.0 + hour * HOUR)),
            Moment(start.0 + (hour + 1) * HOUR),
        );
        let interval = interval.expect("an hour");
        Due {
            header: Header {
                destination: name.to_owned(),
                id: run_id(name, "events", interval),
                model: "events".to_owned(),
                start_micros: interval.start().map(|start| start.0),
                end_micros: interval.end().0,
            },
            not_before: Moment(interval.end().0 + MINUTE),
            skipped: None,
        }
    });
    let order = BackfillOrder {
        destination: name.to_owned(),
        start,
        end: Moment(start.0 + hours * HOUR),
        runs_at_once,
        runs: runs.collect(),
        again: false,
    };
    let plan = world.ledger.plan_backfill(&order).expect("a plan");
    assert_eq!((plan.intervals, plan.to_run), (hours as u64, hours as u64));
    world.ledger.backfill(&order, world.now).expect("a backfill").id
}

#[test]
fn a_thousand_missed_intervals_do_not_starve_a_single_one() {
    let mut many = every("hour");
    many.catch_up = Some(1_000);
    let configured = || vec![destination("many", many.clone()), destination("one", every("day"))];
    let mut world = World::new(4, "2026-06-01T00:30Z", configured());
    world.settle();
    world.now = at("2026-07-01T00:10Z");
    world.restart(4, configured());
    let first = world.tick();
    assert_eq!(first.len(), 3, "{first:?}: one slot stays free");
    assert!(first.iter().any(|run| run.starts_with("one ")), "{first:?}");
    assert!(
        first.contains(&"many 23:00-00:00".to_owned()),
        "the newest first: {first:?}"
    );
}

#[test]
fn slow_runs_and_backfills_leave_a_slot_for_an_interval_that_has_just_ended() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    backfill(&world, "a", 100, 10);
    world.scheduler.refresh(world.now).expect("refreshed");
    assert_eq!(world.tick().len(), 3);
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.tick(), ["a 00:00-01:00"]);
}

#[test]
fn a_backfill_has_as_many_runs_at_once_as_it_was_given_and_is_done_in_the_end() {
    let mut world = World::new(8, "2026-07-15T00:10Z", vec![destination("a", every("hour"))]);
    world.settle();
    let id = backfill(&world, "a", 20, 2);
    world.scheduler.refresh(world.now).expect("refreshed");
    assert_eq!(world.tick(), ["a 00:00-01:00", "a 01:00-02:00"], "oldest first");
    assert_eq!(world.tick(), Vec::<String>::new());
    world.settle();
    let backfill = world.ledger.find_backfill(id).expect("read").expect("there");
    assert_eq!(backfill.runs, [(RunState::Completed, 20)]);
    assert_eq!(backfill.state(), crate::ledger::BackfillState::Completed);
}

#[test]
fn a_backfill_that_is_cancelled_starts_nothing_more() {
    let mut world = World::new(8, "2026-07-15T00:10Z", vec![destination("a", every("hour"))]);
    world.settle();
    let id = backfill(&world, "a", 20, 2);
    world.scheduler.refresh(world.now).expect("refreshed");
    world.tick();
    assert!(world.ledger.cancel_backfill(id, world.now).expect("cancelled"));
    assert_eq!(world.ledger.cancel_requests().expect("requests").len(), 2);
    world.scheduler.refresh(world.now).expect("refreshed");
    for id in world.underway.keys().cloned().collect::<Vec<_>>() {
        world.end(&id, Err(FailureClass::Cancelled));
    }
    assert_eq!(world.settle(), Vec::<String>::new());
    assert_eq!(world.in_state("a", RunState::Cancelled), 20);
}

#[test]
fn more_destinations_than_slots_all_get_their_turn() {
    let names: Vec<String> = (0..50).map(|number| format!("d{number}")).collect();
    let configured = names.iter().map(|name| destination(name, every("hour"))).collect();
    let mut world = World::new(4, "2026-07-15T00:00Z", configured);
    world.settle();
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.settle().len(), 50);
}
