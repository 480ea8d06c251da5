//! Text files through the program and the real component: what was written in them is what the objects hold, and
//! `verify` agrees; what would lose rows fails the run.

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};

fn configuration(scene: &Scene, format: &str, columns: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "orders"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "x/"
file_format = "{format}"
check = "on_request"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
[destinations.archive.source]
type = "files"
path = "in"
time_column = "t"
columns = {{ {columns} }}
[destinations.archive.egress]
allow_private = ["{}"]
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

fn put(program: &Program, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = program.folder.path().join("in");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a file");
}

fn command(program: &Program, name: &str) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let interval = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
    let arguments = [name, "--config", "exports.toml", "--component", component];
    program.run(&[&arguments[..], &interval].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_texts_arrive_as_they_are_written() {
    let scene = Scene::new().await;
    let time = "\"t\":\"2023-07-28T00:00:00Z\"";
    let rows = [
        format!(
            r#"{{{time},"v":144126219108390099,"w":9007199254740993,"x":0.123456789012345678901,"y":1e400,"m":5,"d":1.10}}"#
        ),
        format!(r#"{{{time},"v":18446744073709551615,"w":1.5,"x":2,"y":1,"m":"null","d":12345678901234567.25}}"#),
        format!(r#"{{{time},"v":0,"w":-1,"x":-0.5,"y":-1e-400,"m":"00123","d":"3"}}"#),
    ];
    let program = Program::new(&configuration(&scene, "JSONLines", "d = \"decimal(38,2)\""));
    put(&program, "a.jsonl", rows.join("\n"));
    let printed = command(&program, "run");
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let key = scene.store.keys(BUCKET).remove(0);
    let object = scene.store.object(BUCKET, &key).expect("an object");
    let time = "\"t\":\"2023-07-28T00:00:00+00:00\"";
    let expect = [
        format!(
            r#"{{{time},"v":144126219108390099,"w":9007199254740993,"x":0.123456789012345678901,"y":1e400,"m":5,"d":1.10}}"#
        ),
        format!(r#"{{{time},"v":18446744073709551615,"w":1.5,"x":2,"y":1,"m":"null","d":12345678901234567.25}}"#),
        format!(r#"{{{time},"v":0,"w":-1,"x":-0.5,"y":-1e-400,"m":"00123","d":3.00}}"#),
    ];
    let lines = String::from_utf8(object.bytes.to_vec()).expect("text");
    assert_eq!(lines.trim_end(), expect.join("\n"));
    for format in ["JSONLines", "Parquet"] {
        // Each in a store of its own: what another format left would be a fault.
        let scene = Scene::new().await;
        program.configure(&configuration(&scene, format, "d = \"decimal(60,2)\""));
        let printed = command(&program, "run");
        assert_eq!(printed.code, Some(0), "{format}: {printed:?}");
        let printed = command(&program, "verify");
        assert_eq!(printed.code, Some(0), "{format}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lose_rows_fails_the_run_and_no_rows_do_not() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "JSONLines", ""));
    for (name, text, expect) in [
        (
            "a.tsv",
            "id\tt\tquery\n1\t2023-07-28T00:00:00Z\t\"red shoes\n2\t2023-07-28T00:01:00Z\tblue\n",
            "line 2: a quote that is opened on this line is not closed before the end of the file",
        ),
        (
            "b.csv",
            "id;t\n1;2023-07-28T00:00:00Z\n",
            "its name looks like several names",
        ),
        ("c.jsonl.sz", "\u{ff}", "compressed with snappy"),
    ] {
        put(&program, name, text);
        let printed = command(&program, "run");
        assert_eq!(printed.code, Some(1), "{name}: {printed:?}");
        let words: Vec<&str> = printed.stderr.split_whitespace().collect();
        assert!(words.join(" ").contains(expect), "{name}: {printed:?}");
        std::fs::remove_file(program.folder.path().join("in").join(name)).expect("removed");
    }
    put(&program, "a.jsonl", "");
    put(&program, "b.csv", "");
    let printed = command(&program, "run");
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(scene.store.keys(BUCKET).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_opens_the_files_of_its_hour_and_so_does_its_verification() {
    let scene = Scene::new().await;
    let text = configuration(&scene, "JSONLines", "");
    let program = Program::new(&text.replace("\"in\"", "\"in/{year}/{month}/{day}/{hour}/*.jsonl\""));
    let row = "{\"t\":\"2023-07-28T00:10:00Z\",\"n\":1}\n";
    for name in ["2023/07/28/00/a.jsonl", "2023/07/28/00/b.jsonl"] {
        std::fs::create_dir_all(program.folder.path().join("in/2023/07/28/00")).expect("a folder");
        put(&program, name, row);
    }
    // Whatever opened them would fail.
    for hour in ["01", "23"] {
        std::fs::create_dir_all(program.folder.path().join("in/2023/07/28").join(hour)).expect("a folder");
        put(&program, &format!("2023/07/28/{hour}/c.jsonl"), "{\"t\":");
    }
    for name in ["run", "verify"] {
        let printed = command(&program, name);
        assert_eq!(printed.code, Some(0), "{name}: {printed:?}");
    }
    let key = scene.store.keys(BUCKET).remove(0);
    let object = scene.store.object(BUCKET, &key).expect("an object");
    assert_eq!(object.bytes.iter().filter(|byte| **byte == b'\n').count(), 2);

    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let look = |interval: &[&str]| {
        let usual = ["plan", "--source", "--config", "exports.toml", "--component", component];
        program.run(&[&usual[..], interval].concat())
    };
    let hour = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
    let printed = look(&hour);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let next = ["--start", "2023-07-28T02:00:00Z", "--end", "2023-07-28T03:00:00Z"];
    let arguments = ["run", "--config", "exports.toml", "--component", component];
    let printed = program.run(&[&arguments[..], &next].concat());
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let said = "the source's `path` has no files for 2023-07-28T02";
    assert!(format!("{printed:?}").contains(said), "{printed:?}");
}
