//! `demo`: a whole export and its proof, without a bucket, an account or a configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::Clock;
use super::verify::{errors, verdict, watch};
use crate::about::About;
use crate::demo::{self, Audience, Demo, DemoOptions, DemoReport, Listed, Staying};
use crate::error;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::signals::cancelled_by_signals;
use crate::words::{self, Object};
use batch_export_runner::{Events, Failure, RunTokens, Runtime};
use batch_export_source::Moment;

/// What to do where the demo finds differences: its source and its store are its own, so nobody else made them.
const AGAIN: &str = "run it again, and report the problem if it happens again";
/// Characters of a manifest that are shown.
const MANIFEST_CHARS: usize = 400;

/// Export sample events to a store on this machine and read them back; no account required.
#[derive(Debug, Args)]
#[command(
    name = "demo",
    after_help = "Example:\n  batch-export demo\n  batch-export demo --folder demo --keep\n  batch-export demo --folder \
                  demo --stay"
)]
pub struct DemoArgs {
    /// New folder for the configuration and the store; the configuration is kept. Defaults to a temporary folder that
    /// is deleted at the end.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Number of events per hour.
    #[arg(long, default_value_t = 80_000, value_parser = whole_number(1, 10_000_000))]
    rows: u64,
    /// Number of hours to export.
    #[arg(long, default_value_t = 3, value_parser = whole_number(1, 240))]
    hours: u64,
    /// Keep the exported files and their folder.
    #[arg(long)]
    keep: bool,
    /// Keep the store running afterwards until Ctrl-C, so that `batch-export serve` can export to it.
    #[arg(long)]
    stay: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Plugin (WebAssembly component) to load instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

impl DemoArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let form = Form::new(self.json, false);
        let progress = Arc::new(Progress::new(self.json));
        let signals = Arc::clone(&progress);
        let tokens = cancelled_by_signals(move |text| signals.line(text));
        let work = tokens.work.clone();
        let (outcome, staying) = match self.demo(clock, &progress, tokens).await {
            Ok((answer, staying)) => (Ok(answer), staying),
            Err(failure) => (Err(failure), None),
        };
        let code = output::show(form, clock(), &About::default(), outcome);
        let Some(staying) = staying else {
            return code;
        };
        // Whatever ends it: the user has seen enough.
        work.interrupted().await;
        match staying.end() {
            Ok(_) => code,
            Err(failure) => output::show(Form::Silent, clock(), &About::default(), Err::<Answer<()>, _>(failure)),
        }
    }

    async fn demo(
        self,
        clock: Clock,
        progress: &Arc<Progress>,
        tokens: RunTokens,
    ) -> Result<(Answer<DemoReport>, Option<Staying>), Failure> {
        let options = DemoOptions {
            folder: self.folder,
            component: self.component,
            rows_per_hour: self.rows,
            hours: self.hours,
            keep: self.keep,
            stay: self.stay,
        };
        let quiet = self.json;
        let (events, mut received) = Events::queue();
        let audience = Audience {
            runtime: Runtime::default(),
            events,
            tokens,
            watch: watch(progress),
            clock,
            step: &|step| {
                if !quiet {
                    progress.line(&step);
                }
            },
        };
        let outcome = progress
            .during(demo::demo(&options, &audience), &mut received, |_| ())
            .await;
        let Demo { report, staying } = outcome?;
        let failed = || report.verified.iter().filter(|run| !run.passed);
        let failure = match failed().map(|run| run.faults_found()).sum() {
            0 => None,
            faults => Some(error::errors_found(faults, &[AGAIN])),
        };
        let answer = Answer {
            text: in_words(&report, staying.as_ref(), clock()),
            warnings: Vec::new(),
            errors: failed().flat_map(errors).collect(),
            failure,
            json: report,
        };
        Ok((answer, staying))
    }
}

/// Returns a parser of whole numbers in a range.
fn whole_number(from: u64, to: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number.ok_or_else(|| format!("use a whole number from {from} to {}", words::count(to)))
    }
}

fn in_words(report: &DemoReport, staying: Option<&Staying>, now: Moment) -> String {
    let mut text = String::from("\nin the bucket\n");
    for run in &report.verified {
        let is_of_run =
            |key: &String| run.manifest_key.as_ref() == Some(key) || run.files.iter().any(|file| file.key == *key);
        let objects = report.objects.iter().filter(|object| is_of_run(&object.key));
        let objects: Vec<Object> = objects.map(shown).collect();
        text.push_str(&words::objects("", &objects));
    }
    if let Some((key, manifest)) = report
        .verified
        .iter()
        .find_map(|run| Some((run.manifest_key.as_ref()?, run.manifest.as_ref()?)))
    {
        let shown: String = manifest.chars().take(MANIFEST_CHARS).collect();
        let more = if shown.len() < manifest.len() { "\n…" } else { "" };
        text.push_str(&format!("manifest\n{}{shown}{more}\n", words::in_pieces(key, 2)));
    }
    text.push_str("totals\n");
    text.push_str(&words::table(&totals(report)));
    match staying {
        Some(staying) => text + &service(report, staying, now),
        None => text + &onwards(report),
    }
}

/// What to try while the store is there.
fn service(report: &DemoReport, staying: &Staying, now: Moment) -> String {
    let program = program();
    let config = report.configuration.as_deref().map_or(String::new(), quoted);
    // Whole periods of the demo's schedule.
    let period = 5 * 60_000_000;
    let to = now.0 / period * period;
    let time = |micros| Moment(micros).to_string().replace("+00:00", "Z");
    format!(
        "the store keeps running at {} until Ctrl-C\n\n\
         To see the service at work, leave this as it is, and in another terminal start\n\
         \x20 {program} serve \\\n    --config {config}\n\
         It exports each five minutes to both destinations as soon as they are over.\n\
         In a third terminal, see how it stands, and let it export the last hour too:\n\
         \x20 {program} status \\\n    --config {config}\n\
         \x20 {program} backfill parquet --yes \\\n    --from {} --to {} \\\n    --config {config}\n\
         \x20 {program} runs \\\n    --config {config}\n",
        staying.endpoint(),
        time(to - 12 * period),
        time(to),
    )
}

/// Somebody who runs the demo from a checkout has the program built, not installed.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "batch-export".to_owned(), |path| quoted(&path))
}

/// An object with its numbers.
fn shown(object: &Listed) -> Object {
    let rows = object.rows.map(|rows| words::counted(rows, "row"));
    let parts = match object.parts {
        0 | 1 => String::new(),
        parts => format!("{parts} parts"),
    };
    Object {
        cells: vec![rows.unwrap_or_default(), words::bytes(object.bytes), parts],
        key: object.key.clone(),
    }
}

fn totals(report: &DemoReport) -> Vec<(String, String)> {
    let mut destinations: Vec<&str> = Vec::new();
    for exported in &report.exported {
        if !destinations.contains(&exported.destination.as_str()) {
            destinations.push(&exported.destination);
        }
    }
    let mut rows = Vec::new();
    for name in destinations {
        let runs = || report.exported.iter().filter(|run| run.destination == name);
        let seconds = runs().map(|run| run.seconds).sum::<f64>().max(0.001);
        let exported: u64 = runs().map(|run| run.rows).sum();
        let before: u64 = runs().map(|run| run.bytes_before_compression).sum();
        rows.push((
            format!("exported to {name}"),
            format!(
                "{}, {} in {}, {:.1} s, {} rows/s, {}/s before compression",
                words::counted(exported, "row"),
                words::bytes(runs().map(|run| run.bytes).sum()),
                words::counted(runs().map(|run| run.files).sum(), "file"),
                seconds,
                words::count((exported as f64 / seconds) as u64),
                words::bytes((before as f64 / seconds) as u64),
            ),
        ));
        let read = || report.verified.iter().filter(|run| run.destination == name);
        let outcome = match read().all(|run| run.passed) {
            true => "every row and value matches the source",
            false => verdict(false),
        };
        rows.push((
            format!("read back from {name}"),
            format!(
                "{}, {:.1} s: {outcome}",
                words::counted(read().map(|run| run.rows).sum(), "row"),
                read().map(|run| run.seconds).sum::<f64>(),
            ),
        ));
    }
    rows.push(("all".to_owned(), format!("{:.1} s", report.seconds)));
    rows
}

/// The way from here to a bucket of the user's own.
fn onwards(report: &DemoReport) -> String {
    let span = "--start 2023-07-28T00:00Z --end 2023-07-28T01:00Z";
    let program = program();
    let (Some(file), Some(folder)) = (&report.configuration, &report.folder) else {
        return format!(
            "the store has been stopped and everything deleted; to continue with a\n\
             bucket of your own, keep the configuration:\n\
             \x20 {program} demo --folder demo\n"
        );
    };
    let config = format!(" \\\n    --config {}", quoted(file));
    let file = file.display();
    let files = match report.kept {
        true => format!("the files are in\n  {}", folder.display()),
        false => "the files have been deleted; use --keep to keep\nthem".to_owned(),
    };
    format!(
        "the store has been stopped; {files}\n\n\
         To export to your own bucket, edit one or both destinations in\n\
         \x20 {file}\n\
         with\n\
         \x20 bucket_name, region      your own\n\
         \x20 endpoint_url             delete this line for AWS; or your store's URL\n\
         \x20 aws_access_key_id        \"${{env:AWS_ACCESS_KEY_ID}}\"\n\
         \x20 aws_secret_access_key    \"${{env:AWS_SECRET_ACCESS_KEY}}\"\n\
         \x20                          or instead of both:\n\
         \x20                          credentials = {{ source = \"host\" }}\n\
         \x20 allow_private            delete this line, unless the store is in your\n\
         \x20                          own network\n\
         and then\n\
         \x20 {program} validate{config}\n\
         \x20 {program} check --destination parquet{config}\n\
         \x20 {program} run --destination parquet{config} \\\n    {span}\n\
         \x20 {program} verify --destination parquet{config} \\\n    {span}\n"
    )
}

/// Returns a path as it is typed into a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,~".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_typed_as_it_is_shown() {
        for (path, expect) in [
            ("/tmp/demo/demo.toml", "/tmp/demo/demo.toml"),
            ("/tmp/a b/demo.toml", "'/tmp/a b/demo.toml'"),
            ("it's", "'it'\\''s'"),
            ("a$b", "'a$b'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expect);
        }
    }
}
