//! Rows that arrive after their hour: exported exactly once by runs that follow the clock, and what backfills make of
//! them.

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::read;
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};

/// Row 2 happened in the first hour and arrived in the second.
const ROWS: &str = r#"{"n":1,"happened":"2023-07-28T00:10:00Z","arrived":"2023-07-28T00:10:01Z"}
{"n":2,"happened":"2023-07-28T00:59:59Z","arrived":"2023-07-28T01:07:00Z"}
{"n":3,"happened":"2023-07-28T01:30:00Z","arrived":"2023-07-28T01:30:01Z"}
"#;
const HOURS: [(&str, &str); 2] = [("00:00:00", "01:00:00"), ("01:00:00", "02:00:00")];

fn configuration(scene: &Scene) -> String {
    format!(
        r#"[destinations.orders]
model = "orders"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "late/"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
check = "on_request"
egress.allow_private = ["{}"]
[destinations.orders.source]
type = "files"
path = "rows.jsonl"
time_column = "arrived"
backfill_time_column = "happened"
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

struct Orders {
    scene: Scene,
    program: Program,
}

impl Orders {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let program = Program::new(&configuration(&scene));
        std::fs::write(program.folder.path().join("rows.jsonl"), ROWS).expect("written");
        Orders { scene, program }
    }

    #[track_caller]
    fn export(&self, hour: usize, further: &[&str]) {
        let (from, to) = HOURS[hour];
        let printed = self.program.start_export(from, to, further).wait();
        assert_eq!(printed.code, Some(0), "{printed:?}");
    }

    fn verify(&self, hour: usize, further: &[&str]) -> Printed {
        let (from, to) = HOURS[hour];
        let (start, end) = (format!("2023-07-28T{from}Z"), format!("2023-07-28T{to}Z"));
        let component = components::destination();
        let component = component.to_str().expect("UTF-8");
        let arguments = ["verify", "--config", "exports.toml", "--component", component];
        self.program
            .run(&[&arguments[..], &["--start", &start, "--end", &end], further].concat())
    }

    /// The rows in the bucket by their numbers, hour by hour.
    fn stored(&self) -> Vec<Vec<u64>> {
        let keys = self.scene.store.keys(BUCKET);
        let keys = keys.iter().filter(|key| key.ends_with(".jsonl"));
        let rows = keys.map(|key| read::json_lines(key, &self.scene.bytes(key)));
        rows.map(|rows| rows.iter().map(|row| row["n"].as_u64().expect("a number")).collect())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_arrives_late_is_exported_exactly_once_live() {
    let orders = Orders::new().await;
    for hour in 0..HOURS.len() {
        orders.export(hour, &[]);
        let printed = orders.verify(hour, &[]);
        assert_eq!(printed.code, Some(0), "{printed:?}");
    }
    assert_eq!(orders.stored(), [vec![1], vec![2, 3]]);
}

/// The one case in which a row is in two files, and how it ends: as the page about sources says.
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_repeats_a_late_row_until_it_reaches_its_arrival() {
    let orders = Orders::new().await;
    for hour in 0..HOURS.len() {
        orders.export(hour, &[]);
    }
    orders.export(0, &["--backfill"]);
    assert_eq!(orders.stored(), [vec![1, 2], vec![2, 3]]);
    let printed = orders.verify(0, &["--backfill"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let printed = orders.verify(0, &[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");

    orders.export(1, &["--backfill"]);
    assert_eq!(orders.stored(), [vec![1, 2], vec![3]]);
    let printed = orders.verify(1, &["--backfill"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
}
