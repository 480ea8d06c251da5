//! The server of these tests, asked by its own client; DuckDB, which reads what was exported; and a destination.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use batch_export_source::{
    EventFilter, Interval, PostgresFactory, PostgresServer, PostgresSettings, QuerySettings, Rows, Selection, Source,
    SourceError, SourceFactory, SslMode, TimeColumns,
};
use batch_export_system::{Budget, Token};
use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use serde_json::Value;

/// The day that the tests export.
pub const DAY: [&str; 2] = ["2026-01-01", "2026-01-02"];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: run `cargo xtask conformance postgres`"))
}

pub fn port() -> u16 {
    variable("POSTGRES_PORT").parse().expect("a port")
}

/// The folder of the server's socket.
pub fn sockets() -> String {
    variable("POSTGRES_SOCKETS")
}

/// The user that the server runs as.
pub fn owner() -> String {
    variable("POSTGRES_OWNER")
}

/// Runs SQL with the server's own client, and returns what it prints: a line for each row, fields apart by tabs.
pub fn sql(text: &str) -> String {
    let mut psql = Command::new(Path::new(&variable("POSTGRES_PROGRAMS")).join("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"])
        .args([
            "-h",
            &sockets(),
            "-p",
            &port().to_string(),
            "-U",
            "admin",
            "-d",
            "postgres",
        ])
        .env("PGTZ", "UTC");
    given(psql, text)
}

/// Runs SQL in DuckDB, and returns the rows of its last statement.
pub fn duck(text: &str) -> Vec<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/duck.py");
    let mut python = Command::new(variable("POSTGRES_PYTHON"));
    python.arg(script);
    let printed = given(python, text);
    let rows = printed.lines().map(|line| serde_json::from_str(line).expect("a row"));
    rows.collect()
}

fn given(mut command: Command, text: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("a thread").expect("written");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The server as a user without a password sees it.
pub fn server() -> PostgresServer {
    let mut server = PostgresServer::default();
    server.host = Some("127.0.0.1".to_owned());
    server.port = Some(port());
    server.user = Some("admin".to_owned());
    server.database = Some("postgres".to_owned());
    server.sslmode = Some(SslMode::Disable);
    server
}

/// Opens a table with the time column `at`, in this process.
pub fn open(server: PostgresServer, table: &str) -> Result<Box<dyn Source>, SourceError> {
    let times = TimeColumns {
        arrival: Some("at".to_owned()),
        event: None,
    };
    let rows = Rows::table(table).expect("a table");
    let query = QuerySettings::new("orders", rows, times).expect("settings");
    let [start, end] = DAY;
    let selection = Selection::new(Interval::parse(start, end).expect("a day"), EventFilter::default());
    let factory = PostgresFactory::new(PostgresSettings::new(server, query));
    factory.open(selection, &Token::new(), &Budget::new(1 << 30))
}

pub fn count(source: &mut dyn Source) -> Result<usize, SourceError> {
    let mut rows = 0;
    while let Some(batch) = source.next_batch()? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

/// A destination that is fed by the server.
pub fn configuration(scene: &Scene, model: &str, format: &str, source: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "{model}"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "{format}/"
file_format = "{format}"
check = "on_request"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
egress.allow_private = ["{}"]
[destinations.archive.source]
type = "postgres"
host = "127.0.0.1"
port = {}
user = "admin"
database = "postgres"
sslmode = "disable"
{source}
"#,
        scene.store.endpoint(),
        scene.store.address(),
        port(),
    )
}

/// The arguments of a command about the day.
pub fn arguments(command: &str) -> Vec<String> {
    let [start, end] = DAY;
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let common = [
        "--config",
        "exports.toml",
        "--component",
        component,
        "--start",
        start,
        "--end",
        end,
    ];
    let arguments = [command].into_iter().chain(common);
    arguments.map(str::to_owned).collect()
}

/// Runs a command about the day.
pub fn command(program: &Program, command: &str, further: &[&str]) -> Printed {
    let arguments = arguments(command);
    let arguments = arguments.iter().map(String::as_str).chain(further.iter().copied());
    program.run(&arguments.collect::<Vec<&str>>())
}

/// Exports the day.
pub fn run(program: &Program) -> Printed {
    command(program, "run", &[])
}

/// Exports the day to one file, and writes that into the program's folder.
pub fn exported(scene: &Scene, model: &str, format: &str, source: &str) -> (Program, PathBuf) {
    let program = Program::new(&configuration(scene, model, format, source));
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let keys = scene.store.keys(BUCKET);
    let key = keys.iter().filter(|key| key.starts_with(format));
    let [key] = key.collect::<Vec<_>>()[..] else {
        panic!("{keys:?}");
    };
    let object = scene.store.object(BUCKET, key).expect("an object");
    let path = program.folder.path().join("file");
    std::fs::write(&path, &object.bytes).expect("written");
    (program, path)
}
