//! A program as a source, through the program and the real component: its rows are the object's, `verify` agrees, what
//! it says is shown, and one that fails leaves nothing behind.

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::ipc::writer::StreamWriter;
use std::sync::Arc;

/// 2023-07-28T00:00Z.
const START_MICROS: i64 = 1_690_502_400_000_000;
const HOUR: [&str; 4] = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];

fn configuration(scene: &Scene, script: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "orders"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "x/"
check = "on_request"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
[destinations.archive.source]
type = "command"
command = ["sh", "-c", "{script}", "sh", "{{data_interval_start}}", "{{data_interval_end}}"]
environment = ["PATH"]
time_column = "at"
[destinations.archive.egress]
allow_private = ["{}"]
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

/// A program with `rows.arrows` next to its configuration: a row for each minute of two hours.
fn program(scene: &Scene, script: &str) -> Program {
    let minutes = || (0..120).map(|minute| START_MICROS + minute * 60_000_000);
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..120))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(minutes()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    writer.write(&batch).expect("written");
    let bytes = writer.into_inner().expect("finished");
    let program = Program::new(&configuration(scene, script));
    std::fs::write(program.folder.path().join("rows.arrows"), bytes).expect("a file");
    program
}

fn command(program: &Program, arguments: &[&str]) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let usual = ["--config", "exports.toml", "--component", component];
    program.run(&[arguments, &usual, &HOUR].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_program_arrive_and_what_it_says_is_shown() {
    let scene = Scene::new().await;
    let program = program(&scene, "echo from $1 to $2 >&2; cat rows.arrows");
    let printed = command(&program, &["run"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let said = "source: from 2023-07-28T00:00:00+00:00 to 2023-07-28T01:00:00+00:00";
    assert!(printed.stderr.contains(said), "{printed:?}");
    let key = scene.store.keys(BUCKET).remove(0);
    let object = scene.store.object(BUCKET, &key).expect("an object");
    let lines = String::from_utf8(object.bytes.to_vec()).expect("text");
    assert_eq!(lines.lines().count(), 60);
    let printed = command(&program, &["verify"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let printed = command(&program, &["plan", "--source"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.contains("rows") && printed.stdout.contains("at"),
        "{printed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_or_is_cut_leaves_nothing_behind() {
    for (script, code, expect) in [
        (
            "cat rows.arrows; echo no space left >&2; exit 1",
            1,
            "exit code 1; its standard error ends with: no space left",
        ),
        ("cat rows.arrows; exit 75", 3, "it ended with exit code 75"),
        ("head -c 900 rows.arrows", 1, "it ends in the middle of a message"),
        ("echo hello", 1, "its output is text, not an Arrow IPC stream: `hello`"),
    ] {
        let scene = Scene::new().await;
        let program = program(&scene, script);
        let printed = command(&program, &["run"]);
        assert_eq!(printed.code, Some(code), "{script}: {printed:?}");
        assert!(printed.stderr.contains(expect), "{script}: {printed:?}");
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new(), "{script}");
    }
}
