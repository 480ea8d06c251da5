//! A ClickHouse as a source, through the program and the real component, with TLS in front of it: its rows are the
//! object's, `verify` agrees, and a stream that breaks leaves nothing behind. The server is a script; how streams break
//! is tested where they are read, and types with ClickHouse's own engine (`cargo xtask conformance clickhouse`).

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampSecondArray};
use arrow::ipc::writer::StreamWriter;
use batch_export_tests::components;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use tokio::io::AsyncWriteExt;

/// 2023-07-28T00:00Z.
const START_SECONDS: i64 = 1_690_502_400;
const HOUR: [&str; 4] = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
const ROWS: i64 = 60;

/// What a ClickHouse sends for the hour: a row for each minute.
fn arrow() -> Vec<u8> {
    let times = TimestampSecondArray::from_iter_values((0..ROWS).map(|minute| START_SECONDS + minute * 60));
    let columns: [(&str, ArrayRef); 2] = [
        ("c0", Arc::new(Int64Array::from_iter_values(0..ROWS))),
        ("c1", Arc::new(times.with_timezone("UTC"))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    writer.write(&batch).expect("written");
    writer.finish().expect("an end");
    writer.into_inner().expect("bytes")
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A ClickHouse that sends so many bytes of its rows.
async fn server(sent: usize) -> Server {
    Server::serve(move |mut stream, head| async move {
        let body = batch_export_tests::loopback::body_of(&mut stream, &head).await;
        let sql = String::from_utf8(body.unwrap_or_default()).unwrap_or_default();
        let answer = match sql.as_str() {
            sql if sql.contains("system.settings") => answer(b"[\"26.9.2.1\",\"readonly\",\"2\",0]\n"),
            sql if sql.starts_with("DESCRIBE") => answer(b"[\"id\",\"Int64\"]\n[\"at\",\"DateTime\"]\n"),
            sql if sql.starts_with("SELECT count()") => answer(format!("{ROWS}\n").as_bytes()),
            _ => {
                let whole = answer(&arrow());
                let start = whole.len() - arrow().len();
                whole[..start + sent].to_vec()
            }
        };
        // A client that goes away in the middle is its own business.
        drop(stream.write_all(&answer).await);
    })
    .await
}

fn configuration(scene: &Scene, address: std::net::SocketAddr, further: &str) -> String {
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
type = "clickhouse"
url = "https://localhost:{}"
user = "reader"
password = "CANARY p@ss"
table = "shop.orders"
time_column = "at"
{further}
[destinations.archive.egress]
allow_private = ["{}"]
"#,
        scene.store.endpoint(),
        address.port(),
        scene.store.address()
    )
}

fn command(program: &Program, arguments: &[&str]) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let usual = ["--config", "exports.toml", "--component", component];
    let printed = program.run(&[arguments, &usual, &HOUR].concat());
    assert!(!format!("{printed:?}").contains("CANARY"), "{printed:?}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_clickhouse_arrive_over_tls_and_a_broken_stream_leaves_nothing() {
    let scene = Scene::new().await;
    let (acceptor, authority) = devstore::acceptor(&[]).expect("a certificate");
    let program = Program::new("");
    std::fs::write(program.folder.path().join("ca.pem"), authority).expect("written");
    let at = |sent: usize, further: &'static str| {
        let (acceptor, program, scene) = (acceptor.clone(), &program, &scene);
        async move {
            let tls = Server::behind_tls(acceptor, server(sent).await.address).await;
            program.configure(&configuration(scene, tls.address, further));
        }
    };
    let trusted = "ca_file = \"ca.pem\"";

    at(arrow().len(), "").await;
    let printed = command(&program, &["run"]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(
        printed.stderr.contains("authority that is not trusted here"),
        "{printed:?}"
    );

    at(arrow().len() - 100, trusted).await;
    let printed = command(&program, &["run"]);
    assert_eq!(printed.code, Some(3), "{printed:?}");
    assert!(printed.stderr.contains("its answer broke off"), "{printed:?}");
    assert!(scene.store.keys(BUCKET).is_empty(), "{:?}", scene.store.keys(BUCKET));

    at(arrow().len(), trusted).await;
    let printed = command(&program, &["run", "--json"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["rows_supplied"], ROWS);
    let printed = command(&program, &["verify"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
}
