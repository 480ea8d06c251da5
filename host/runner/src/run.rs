//! One run: plan, grants, leftovers of earlier attempts, then every batch through a fresh instance, and the proof that
//! what was reported is what was supplied. Knows no command line and no schedule.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::check::{Occasion, Trial};
use crate::config::CheckMode;
use crate::failure::Failure;
use crate::proof::Carried;
use crate::state::{Header, HeldRun, State};
use crate::stop::Stop;
use crate::sweep::Sweep;
use crate::target::{Access, Target};
use crate::{proof, target};
use batch_export_sandbox::LogSink;
use batch_export_sandbox::Observer;
use batch_export_sandbox::Session;
use batch_export_sandbox::contract::{Plan, Progress, Recovery, Report, Run};
use batch_export_source::Summary;
use batch_export_source::{Ends, Interval};
use batch_export_source::{Feed, Selection, Tally};

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    pub rows_supplied: u64,
    pub batches: u64,
    pub bytes_supplied: u64,
    pub destination: Progress,
}

/// Who is told how a run goes.
pub struct Listener<'a> {
    pub progress: &'a (dyn Fn(Snapshot) + Sync),
    pub log: LogSink,
    /// Told of every request of the plugin's and of its answer.
    pub requests: Option<Observer>,
}

/// What a finished run did.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    pub destination: String,
    #[serde(flatten, serialize_with = "identity")]
    pub run: Run,
    /// Rows handed to the plugin: the report's `rows_received` is proven to be the same.
    pub rows_supplied: u64,
    pub batches: u64,
    /// Arrow IPC bytes handed to the plugin.
    pub bytes_supplied: u64,
    /// Bytes of all files written.
    pub bytes_exported: u64,
    pub source: Tally,
    pub report: Report,
    pub seconds: f64,
    /// Most linear memory that the plugin held.
    pub peak_guest_memory_bytes: usize,
    /// What was cleaned up of earlier attempts before this one.
    pub recovery: Recovery,
    pub warnings: Vec<String>,
}

/// A run in JSON: its ids, its model, and its interval as ISO 8601.
fn identity<S: Serializer>(run: &Run, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Identity<'a> {
        run_id: &'a str,
        attempt_id: &'a str,
        model: &'a str,
        interval: Ends,
    }
    Identity {
        run_id: &run.id,
        attempt_id: &run.attempt,
        model: &run.model,
        interval: Ends::of(run.interval.start_micros, run.interval.end_micros),
    }
    .serialize(serializer)
}

/// Runs one interval. When `stop` asks it to end, what is open is cleaned up before this returns, as far as that goes
/// quickly; asked twice, it stays noted.
pub async fn run(
    target: &Target,
    state: &State,
    interval: Interval,
    listener: &Listener<'_>,
    stop: &Stop,
) -> Result<RunReport, Failure> {
    let begun = Instant::now();
    let header = target.header(interval);
    let run = header.run(target::attempt_id()?);
    let plan = unless_asked(stop, target.plan(&run)).await??;
    target.grants(&run, &plan)?;
    let access = target.access()?;
    let held = state.hold(&run.id)?;

    let sweep = Sweep {
        target,
        access: &access,
        listener,
        stop,
    };
    let mut recovery = Recovery::default();
    let mut warnings = sweep.others(state, &run.id, &mut recovery).await?;
    sweep.one(&held, &mut recovery).await?;

    let attempt = Attempt {
        target,
        state,
        header: &header,
        run: &run,
        plan: &plan,
        access: &access,
        held: &held,
        listener,
        stop,
        deadline: begun + target.limits.run_time,
    };
    match attempt.export(interval).await {
        Ok(mut done) => {
            // Neither makes a run that succeeded a failure: what stays is looked at by the next start.
            let forgotten = held
                .forget(&run.attempt)
                .and_then(|()| held.clear_if_empty());
            warnings.extend(forgotten.err().map(|failure| failure.in_one_text()));
            done.warnings.extend(warnings);
            Ok(done.into_report(target, run, begun.elapsed(), recovery))
        }
        Err(failure) => Err(clean_up(&sweep, held, failure).await),
    }
}

/// Some of the work before anything is open, unless the run is asked to end.
async fn unless_asked<T>(stop: &Stop, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        _ = stop.asked() => Err(Failure::cancelled()),
        done = work => Ok(done),
    }
}

/// One attempt and all that it works with.
struct Attempt<'a> {
    target: &'a Target,
    state: &'a State,
    header: &'a Header,
    run: &'a Run,
    plan: &'a Plan,
    access: &'a Access,
    held: &'a HeldRun,
    listener: &'a Listener<'a>,
    stop: &'a Stop,
    deadline: Instant,
}

/// What an attempt that succeeded has to say.
struct Done {
    snapshot: Snapshot,
    source: Tally,
    report: Report,
    bytes_exported: u64,
    peak_guest_memory_bytes: usize,
    warnings: Vec<String>,
}

impl Attempt<'_> {
    async fn export(&self, interval: Interval) -> Result<Done, Failure> {
        let automatic = self.target.check == CheckMode::Automatic;
        let (name, fingerprint) = (&self.target.name, self.target.fingerprint());
        let untried = automatic && !self.state.remembers_check(name, &fingerprint)?;
        let mut warnings = Vec::new();
        if untried {
            warnings = self.trial().unasked(Occasion::FirstUse).await?;
            self.state.remember_check(name, &fingerprint)?;
        }
        let origin = self.target.origin(self.header, &self.run.attempt);
        let journal = self.held.journal(&origin)?;
        let session = self.target.session(
            self.run,
            self.plan,
            self.access,
            Box::new(journal),
            self.listener,
        )?;
        let outcome = tokio::select! {
            outcome = self.through(&session, interval) => outcome,
            _ = self.stop.asked() => Err(Failure::cancelled()),
            () = tokio::time::sleep_until(self.deadline.into()) => {
                Err(Failure::timed_out(self.target.limits.run_time))
            }
        };
        let peak_guest_memory_bytes = session.peak_memory_bytes();
        let carried = Carried::by(&session);
        // However it ended, nothing is noted or sent any more when cleaning up begins.
        session.close().await;
        let (snapshot, source, report) = outcome?;
        let policy = self.target.policy(self.run)?;
        let bytes_exported = proof::of_report(
            &report,
            self.plan,
            &policy,
            &source.tally,
            snapshot.rows_supplied,
            carried,
        )?;
        warnings.extend(source.warnings);
        if automatic && !untried && snapshot.rows_supplied == 0 {
            warnings.extend(self.trial().unasked(Occasion::NoRows).await?);
        }
        Ok(Done {
            snapshot,
            source: source.tally,
            report,
            bytes_exported,
            peak_guest_memory_bytes,
            warnings,
        })
    }

    /// All rows through one instance.
    async fn through(
        &self,
        session: &Session,
        interval: Interval,
    ) -> Result<(Snapshot, Summary, Report), Failure> {
        let selection = Selection {
            interval,
            events: self.target.events()?,
        };
        let memory_bytes = self.target.limits.source_memory_bytes;
        let mut feed = Feed::start(self.target.source.clone(), selection, memory_bytes).await?;
        session.configure(feed.schema().to_vec()).await?;
        let snapshot = self.supply(session, &mut feed).await?;
        let report = session.finish(snapshot.rows_supplied).await?;
        let summary = feed.summary().cloned().unwrap_or_default();
        Ok((snapshot, summary, report))
    }

    fn trial(&self) -> Trial<'_> {
        Trial {
            target: self.target,
            plan: self.plan,
            access: self.access,
            header: self.header,
            held: self.held,
            listener: self.listener,
            stop: self.stop,
        }
    }

    async fn supply(&self, session: &Session, feed: &mut Feed) -> Result<Snapshot, Failure> {
        let mut snapshot = Snapshot::default();
        while let Some(message) = feed.next().await? {
            let bytes = message.bytes.len() as u64;
            snapshot.destination = session.encode_batch(message.bytes).await?;
            snapshot.rows_supplied += message.rows;
            snapshot.bytes_supplied += bytes;
            snapshot.batches += 1;
            (self.listener.progress)(snapshot);
        }
        Ok(snapshot)
    }
}

impl Done {
    fn into_report(
        self,
        target: &Target,
        run: Run,
        elapsed: Duration,
        recovery: Recovery,
    ) -> RunReport {
        let mut warnings = self.warnings;
        warnings.extend(self.report.warnings.iter().cloned());
        warnings.extend(further_warnings(&self.report, &self.source, &recovery));
        RunReport {
            destination: target.name.clone(),
            run,
            rows_supplied: self.snapshot.rows_supplied,
            batches: self.snapshot.batches,
            bytes_supplied: self.snapshot.bytes_supplied,
            bytes_exported: self.bytes_exported,
            source: self.source,
            report: self.report,
            seconds: elapsed.as_secs_f64(),
            peak_guest_memory_bytes: self.peak_guest_memory_bytes,
            recovery,
            warnings,
        }
    }
}

/// What the host itself has to say about a run that succeeded.
fn further_warnings(report: &Report, source: &Tally, recovery: &Recovery) -> Vec<String> {
    let mut warnings = Vec::new();
    if source.rows_without_time > 0 {
        warnings.push(format!(
            "{} rows have no time in the source's time column, belong to no interval and were omitted",
            source.rows_without_time
        ));
    }
    if source.surrogates_replaced > 0 {
        warnings.push(format!(
            "in the texts of the source, {} halves of surrogate pairs, which no text can hold, were replaced by U+FFFD",
            source.surrogates_replaced
        ));
    }
    if source.numbers_rounded > 0 {
        warnings.push(format!(
            "{} numbers of the source were rounded to the nearest 64-bit float, which their columns are to hold",
            source.numbers_rounded
        ));
    }
    if report.rows_received == 0 {
        warnings.push(format!("nothing was written: {}", source.why_empty()));
    }
    let open = recovery.left_open.iter();
    warnings.extend(
        open.map(|upload| format!("an upload of an earlier attempt is still open: {upload}")),
    );
    warnings
}

/// Aborts what a failed attempt left open; what cannot be aborted stays noted for the next start.
async fn clean_up(sweep: &Sweep<'_>, held: HeldRun, failure: Failure) -> Failure {
    let mut recovery = Recovery::default();
    if let Err(error) = sweep.one(&held, &mut recovery).await {
        recovery
            .left_open
            .push(format!("what the attempt noted ({error})"));
    }
    if let Err(error) = held.clear_if_empty() {
        recovery
            .left_open
            .push(format!("the run's folder ({error})"));
    }
    failure.leaving_open(recovery.left_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_good_run_left_out_or_left_open_is_a_warning() {
        let source = Tally {
            rows_read: 3,
            rows_without_time: 3,
            surrogates_replaced: 2,
            numbers_rounded: 5,
            ..Tally::default()
        };
        let recovery = Recovery {
            left_open: vec!["`x/a.jsonl`".to_owned()],
            ..Recovery::default()
        };
        assert_eq!(
            further_warnings(&Report::default(), &source, &recovery),
            [
                "3 rows have no time in the source's time column, belong to no interval and were omitted",
                "in the texts of the source, 2 halves of surrogate pairs, which no text can hold, were replaced by U+FFFD",
                "5 numbers of the source were rounded to the nearest 64-bit float, which their columns are to hold",
                "nothing was written: the source read 3 rows: 3 without a time",
                "an upload of an earlier attempt is still open: `x/a.jsonl`",
            ]
        );
    }
}
