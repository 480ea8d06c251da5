//! Programs that supply rows, that do it badly, and that do not end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Instant;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use batch_export_system::explain::Explain;
use tempfile::TempDir;

use super::*;
use crate::error::SourceErrorKind;
use crate::interval::Moment;
use crate::select::EventFilter;
use crate::tally::Tally;

/// A folder with `rows.arrows`, a stream of the ids 0 to 99, one for each second of 1970.
struct Scene {
    folder: TempDir,
    log: Arc<Mutex<Vec<String>>>,
    time_column: Option<String>,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().expect("a folder"),
            log: Arc::default(),
            time_column: Some("at".to_owned()),
        };
        scene.put("rows.arrows", &stream(true));
        scene
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn settings(&self, command: &[&str]) -> CommandSettings {
        let command: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
        let times = TimeColumns {
            arrival: self.time_column.clone(),
            event: None,
        };
        let mut settings = CommandSettings::new(self.folder.path(), "orders", &command, times).expect("settings");
        settings.environment = vec!["PATH".to_owned()];
        settings
    }

    fn open(&self, settings: CommandSettings, token: &Token) -> Result<Box<dyn Source>, SourceError> {
        let log = Arc::clone(&self.log);
        let sink = LineSink::new(move |line| log.lock().expect("lines").push(line.to_owned()));
        let factory = CommandFactory::new(settings, sink);
        let interval = Interval::new(Some(Moment(0)), Moment(60_000_000)).expect("a minute");
        let selection = Selection::new(interval, EventFilter::default());
        factory.open(selection, token, &Budget::new(1 << 30))
    }

    fn read(&self, settings: CommandSettings) -> Result<(Vec<i64>, Tally), SourceError> {
        let mut source = self.open(settings, &Token::new())?;
        let mut ids = Vec::new();
        while let Some(batch) = source.next_batch()? {
            ids.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
        Ok((ids, source.tally()))
    }

    /// What a shell script does, whose time a test does not need to know.
    fn shell(&self, script: &str) -> Result<(Vec<i64>, Tally), SourceError> {
        self.read(self.settings(&["sh", "-c", script]))
    }

    #[track_caller]
    fn refused(&self, script: &str) -> (String, SourceErrorKind) {
        let error = self.shell(script).expect_err(script);
        assert!(error.hint().is_some(), "{error}");
        let message = error.to_string();
        let message = message.strip_prefix("the program `sh`: ").map(str::to_owned);
        (message.unwrap_or_else(|| error.to_string()), error.kind())
    }
}

fn batch() -> RecordBatch {
    let times = TimestampMicrosecondArray::from_iter_values((0..100).map(|second| second * 1_000_000));
    let columns: [(&str, Arc<dyn Array>); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..100))),
        ("at", Arc::new(times)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn stream(has_end: bool) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch().schema()).expect("a writer");
    for rows in [batch().slice(0, 40), batch().slice(40, 60)] {
        writer.write(&rows).expect("written");
    }
    if has_end {
        writer.finish().expect("finished");
    }
    std::mem::take(writer.get_mut())
}

#[test]
fn rows_are_those_that_the_program_writes_and_of_the_interval() {
    let scene = Scene::new();
    let (ids, tally) = scene.shell("cat rows.arrows; echo done >&2").expect("rows");
    assert_eq!(ids, (0..60).collect::<Vec<_>>());
    assert_eq!((tally.rows_read, tally.rows_outside_interval), (100, 40));
    assert_eq!(*scene.log.lock().expect("lines"), ["done"]);
}

#[test]
fn the_program_is_told_the_interval_and_decides_itself() {
    let mut scene = Scene::new();
    scene.time_column = None;
    let script = "echo \"$1 $2 $#\" >&2; cat rows.arrows";
    let settings = scene.settings(&[
        "sh",
        "-c",
        script,
        "sh",
        "{data_interval_start}",
        "to={data_interval_end}",
    ]);
    let (ids, _) = scene.read(settings).expect("rows");
    assert_eq!(ids.len(), 100);
    let expect = "1970-01-01T00:00:00+00:00 to=1970-01-01T00:01:00+00:00 2";
    assert_eq!(*scene.log.lock().expect("lines"), [expect]);
}

#[test]
fn a_program_has_the_named_variables_only_and_nothing_to_read() {
    let scene = Scene::new();
    let open = fs::File::open(scene.folder.path().join("rows.arrows")).expect("a file");
    let script = "env | cut -d= -f1 | sort | tr '\\n' ' ' >&2; echo >&2; wc -c >&2; cat rows.arrows";
    scene.shell(script).expect("rows");
    drop(open);
    let log = scene.log.lock().expect("lines").clone();
    // The shell's own.
    let names: Vec<&str> = log[0]
        .split(' ')
        .filter(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name))
        .collect();
    assert_eq!((names, log[1].as_str()), (vec!["PATH"], "0"));
    #[cfg(target_os = "linux")]
    {
        let open = fs::File::open(scene.folder.path().join("rows.arrows")).expect("a file");
        scene
            .shell("readlink /proc/self/fd/* >&2; cat rows.arrows")
            .expect("rows");
        drop(open);
        let log = scene.log.lock().expect("lines").clone();
        let name = scene.folder.path().display().to_string();
        assert!(!log.iter().any(|line| line.starts_with(&name)), "{log:?}");
    }

    let mut settings = scene.settings(&["sh", "-c", "cat rows.arrows"]);
    settings.environment.push("BATCH_EXPORT_NO_SUCH_VARIABLE".to_owned());
    let error = scene.read(settings).expect_err("not set");
    assert!(
        error
            .to_string()
            .contains("the environment variable `BATCH_EXPORT_NO_SUCH_VARIABLE`"),
        "{error}"
    );
}

#[test]
fn what_is_missing_of_the_output_is_a_failure() {
    let scene = Scene::new();
    let whole = stream(true);
    scene.put("endless.arrows", &stream(false));
    scene.put("cut.arrows", &whole[..whole.len() - 100]);
    let mut file = FileWriter::try_new(Vec::new(), &batch().schema()).expect("a writer");
    file.write(&batch()).expect("written");
    scene.put("file.arrow", &file.into_inner().expect("finished"));
    let whole = "its output is not a whole and valid Arrow IPC stream: ";
    for (script, expect) in [
        (
            "cat endless.arrows",
            format!("{whole}it stops without saying that it ends"),
        ),
        ("cat cut.arrows", format!("{whole}it ends in the middle of a message")),
        (
            "cat rows.arrows rows.arrows",
            format!("{whole}it contains data after the end of its stream"),
        ),
        (
            "cat rows.arrows; echo x",
            format!("{whole}it contains data after the end of its stream"),
        ),
        ("true", "it wrote nothing to its standard output".to_owned()),
        ("cat file.arrow", "its output is an Arrow file, not a stream".to_owned()),
        (
            "echo 'id,at'; echo '1,2'",
            "its output is text, not an Arrow IPC stream: `id,at`".to_owned(),
        ),
        (
            "printf '\\001\\002\\003\\004\\005'",
            "its output is not an Arrow IPC stream: it begins with 01 02 03 04 05".to_owned(),
        ),
        (
            "echo 'PAR1xxxxxxxxxxxxxxx'",
            "its output is Parquet, not an Arrow IPC stream".to_owned(),
        ),
        (
            "echo {}; echo 'a warning' >&2",
            "its output is text, not an Arrow IPC stream: `{}`; its standard error ends with: a warning".to_owned(),
        ),
    ] {
        assert_eq!(scene.refused(script), (expect, SourceErrorKind::Permanent), "{script}");
    }
}

#[test]
fn an_exit_code_that_is_not_zero_is_a_failure_whatever_was_written() {
    let scene = Scene::new();
    let (permanent, transient) = (SourceErrorKind::Permanent, SourceErrorKind::Transient);
    for (script, expect, kind) in [
        ("cat rows.arrows; exit 3", "it ended with exit code 3", permanent),
        ("exit 1", "it ended with exit code 1", permanent),
        (
            "head -c 300 rows.arrows; exit 75",
            "it ended with exit code 75",
            transient,
        ),
        ("cat rows.arrows; kill -9 $$", "signal 9 ended it", transient),
        ("cat rows.arrows; kill -11 $$", "signal 11 ended it", permanent),
        ("exit 143", "it ended with exit code 143", transient),
        (
            "echo 'Traceback'; for i in 1 2 3 4 5 6; do echo \"line $i\" >&2; done; exit 1",
            "it ended with exit code 1; its standard error ends with: line 2 | line 3 | line 4 | line 5 | line 6",
            permanent,
        ),
    ] {
        let (message, found) = scene.refused(script);
        assert_eq!((message.as_str(), found), (expect, kind), "{script}");
    }
}

#[test]
fn what_a_program_started_must_not_keep_its_output_open() {
    let scene = Scene::new();
    let begun = Instant::now();
    let (message, kind) = scene.refused("sleep 60 & cat rows.arrows");
    assert_eq!(
        (message.as_str(), kind),
        (
            "it has ended, but 5 s later a process that it started still keeps its standard output open",
            SourceErrorKind::Permanent
        )
    );
    assert!(begun.elapsed() < ENDING_TIME * 2);
    // It may take its time to write, and it may outlive the program if it does not write.
    let (ids, _) = scene.shell("(sleep 1; cat rows.arrows) &").expect("rows");
    assert_eq!(ids.len(), 60);
    let (ids, _) = scene.shell("sleep 60 >/dev/null 2>&1 & cat rows.arrows").expect("rows");
    assert_eq!(ids.len(), 60);
}

#[test]
fn a_program_that_closed_its_output_must_end() {
    let scene = Scene::new();
    let (message, kind) = scene.refused("cat rows.arrows; exec >&-; sleep 60");
    assert_eq!(
        (message.as_str(), kind),
        (
            "it was still running 5 s after it had closed its standard output",
            SourceErrorKind::Permanent
        )
    );
    let (ids, _) = scene.shell("cat rows.arrows; exec >&-; sleep 1").expect("rows");
    assert_eq!(ids.len(), 60);
}

#[test]
fn a_program_ends_within_a_second_of_its_token_with_all_that_it_started() {
    let scene = Scene::new();
    for script in [
        "sleep 71.25",
        "trap '' TERM; cat rows.arrows; while :; do sleep 71.25; done",
        "(trap '' TERM; sleep 71.25) & sleep 71.25",
        "head -c 300 rows.arrows; sleep 71.25",
        "exec >&-; trap '' TERM; while :; do sleep 71.25; done",
    ] {
        let token = Token::new();
        let canceller = token.clone();
        let cancelling = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            canceller.cancel();
            Instant::now()
        });
        let settings = scene.settings(&["sh", "-c", &format!("echo $$ >&2; {script}")]);
        let ended = scene.open(settings, &token).and_then(|mut source| {
            while source.next_batch()?.is_some() {}
            Ok(())
        });
        let error = ended.expect_err(script);
        let cancelled = cancelling.join().expect("cancelled");
        assert_eq!(error.kind(), SourceErrorKind::Cancelled, "{script}: {error}");
        assert!(
            cancelled.elapsed() < Duration::from_secs(1),
            "{script}: {:?}",
            cancelled.elapsed()
        );
        gone(&scene);
    }
}

/// Checks that nothing is left of the group of the program that logged its number last.
fn gone(scene: &Scene) {
    let begun = Instant::now();
    // What was killed a moment ago may still be on its way out.
    while let Some(left) = left(scene) {
        assert!(begun.elapsed() < Duration::from_millis(500), "{left}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns a process that is left of that group, but for what waits for the system to take it off its table.
fn left(scene: &Scene) -> Option<String> {
    let log = scene.log.lock().expect("lines");
    let group = log.last().expect("a number");
    let is_left = |status: String| {
        let after_name = status
            .rsplit_once(')')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        fields.first() != Some(&"Z") && fields.get(2) == Some(&group.as_str())
    };
    fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .map(|process| fs::read_to_string(process.path().join("stat")).unwrap_or_default())
        .find(|status| is_left(status.clone()))
}

/// Whoever is told that the run was cancelled may end this process at once: nothing ends the program then.
#[test]
fn a_run_that_is_cancelled_before_the_first_row_leaves_no_program_behind() {
    let scene = Scene::new();
    let log = Arc::clone(&scene.log);
    let sink = LineSink::new(move |line| log.lock().expect("lines").push(line.to_owned()));
    let settings = scene.settings(&["sh", "-c", "trap '' TERM; echo $$ >&2; while :; do sleep 71.25; done"]);
    let factory = Arc::new(CommandFactory::new(settings, sink));
    let interval = Interval::new(Some(Moment(0)), Moment(60_000_000)).expect("a minute");
    let selection = Selection::new(interval, EventFilter::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let token = Token::new();
    let started = runtime.expect("a runtime").block_on(async {
        let budget = Budget::new(1 << 30);
        let starting = crate::feed::Feed::start(factory, selection, &token, &budget);
        let cancelling = async {
            while scene.log.lock().expect("lines").is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            token.cancel();
        };
        tokio::join!(starting, cancelling).0
    });
    assert_eq!(
        started.err().map(|error| error.kind()),
        Some(SourceErrorKind::Cancelled)
    );
    assert_eq!(left(&scene), None);
}

#[test]
fn a_source_that_is_dropped_ends_its_program() {
    let scene = Scene::new();
    let settings = scene.settings(&["sh", "-c", "echo $$ >&2; cat rows.arrows; sleep 71.25"]);
    let source = scene.open(settings, &Token::new()).expect("a source");
    let begun = Instant::now();
    drop(source);
    assert!(begun.elapsed() < Duration::from_secs(1));
    gone(&scene);
}

#[test]
fn a_flood_of_messages_holds_nothing_up() {
    let scene = Scene::new();
    let (ids, _) = scene
        .shell("yes message | head -n 300000 >&2; cat rows.arrows")
        .expect("rows");
    assert_eq!(ids.len(), 60);
    assert_eq!(scene.log.lock().expect("lines").len(), 1_001);
}

#[test]
fn what_cannot_be_run_is_named_with_its_remedy() {
    let scene = Scene::new();
    scene.put("plain.py", b"print(1)\n");
    let broken = scene.put("broken", b"#!/no/such/interpreter\n");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("executable");
    fs::create_dir(scene.folder.path().join("bin")).expect("a folder");
    let folder = format!("{}/", scene.folder.path().display());
    for (program, expect) in [
        (
            "no-such-program",
            "it is in no folder of PATH; install it, or write its path",
        ),
        (
            "python3 export.py",
            "it is in no folder of PATH; make each argument a string of its own, as in [\"python3\", …]",
        ),
        (
            "./no-such-program",
            "no-such-program does not exist; correct the path of the program; a relative path is relative to the \
             configuration's folder",
        ),
        ("./bin", "bin is a folder; name a program in it"),
        (
            "./plain.py",
            "plain.py is not executable; make it executable (chmod +x), or make it an argument of its interpreter",
        ),
        (
            "./broken",
            "it cannot be started: no such file or directory; name a program for this machine; a script begins with \
             `#!` and its interpreter, or is an argument of its interpreter",
        ),
    ] {
        let error = scene.read(scene.settings(&[program])).expect_err(program);
        let told = Cause::of(&error).in_one_text().replace(&folder, "").replace("./", "");
        let name = program.trim_start_matches("./");
        assert_eq!(told, format!("the program `{name}`: {}", expect.replace("./", "")));
        assert_eq!(error.kind(), SourceErrorKind::Permanent);
    }
    let mut settings = scene.settings(&["true"]);
    settings.folder = Some("elsewhere".into());
    let error = scene.read(settings).expect_err("no folder");
    assert!(error.to_string().contains("elsewhere to run it in"), "{error}");
}

#[test]
fn a_program_with_a_slash_starts_at_the_configurations_folder_and_runs_in_its_own() {
    let scene = Scene::new();
    fs::create_dir(scene.folder.path().join("data")).expect("a folder");
    scene.put("data/rows.arrows", &stream(true));
    fs::remove_file(scene.folder.path().join("rows.arrows")).expect("removed");
    let script = scene.put("export.sh", b"#!/bin/sh\ncat rows.arrows\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut settings = scene.settings(&["./export.sh"]);
    settings.folder = Some("data".into());
    let (ids, _) = scene.read(settings).expect("rows");
    assert_eq!(ids.len(), 60);
}

#[test]
fn settings_that_would_export_every_row_are_refused_and_show_no_argument() {
    let times = TimeColumns::default;
    let new = |command: &[&str]| {
        let command: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
        CommandSettings::new("", "orders", &command, times())
    };
    for (command, expect) in [
        (&[][..], "it is empty"),
        (&[" "], "it names no program"),
        (&["a\0b"], "the program's name contains a NUL character"),
        (
            &["duckdb", "-c", "SELECT 1"],
            "nothing says which rows belong to an interval",
        ),
    ] {
        let error = new(command).expect_err("refused").to_string();
        assert!(error.starts_with(expect), "{error}");
    }
    let times = TimeColumns {
        arrival: Some("at".to_owned()),
        event: Some("happened".to_owned()),
    };
    let told = [
        "export".to_owned(),
        "{data_interval_start}/{data_interval_end}".to_owned(),
    ];
    let error = CommandSettings::new("", "events", &told, times.clone()).expect_err("refused");
    assert!(
        error.to_string().starts_with("backfill_time_column has no effect"),
        "{error}"
    );
    let timed = CommandSettings::new("", "events", &told, TimeColumns { event: None, ..times }).expect("settings");
    assert_eq!(timed.time_column_of(TimeOf::Event), Some("at"));
    let secret = "canary {data_interval_start} {data_interval_end}";
    let settings = new(&["mysql", secret]).expect("settings");
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    assert!(check_variable("A=b").is_err() && check_variable("").is_err() && check_variable("A").is_ok());
}
