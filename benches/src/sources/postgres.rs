//! A table of events in a real PostgreSQL, read with and without an order.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Subject;
use super::inputs::{DAY, Inputs};

/// The types that such columns have in PostgreSQL. `TEXT` for identifiers, as applications store them.
const TABLE: &str = "CREATE TABLE bench_events (uuid uuid PRIMARY KEY, event text, distinct_id text, person_id text, \
                     properties jsonb, person_properties jsonb, elements_chain text, timestamp timestamptz, created_at \
                     timestamptz, _inserted_at timestamptz NOT NULL)";

/// Recreates the table, and returns what is measured of it.
pub fn subjects(url: &str, inputs: &Inputs) -> Result<Vec<Subject>> {
    eprintln!("bench: making a table of {} rows in PostgreSQL", inputs.rows);
    psql(url, "DROP TABLE IF EXISTS bench_events", Stdio::null())?;
    psql(url, TABLE, Stdio::null())?;
    let lines = File::open(&inputs.lines).with_context(|| format!("cannot read {}", inputs.lines.display()))?;
    psql(url, "COPY bench_events FROM STDIN", lines.into())?;
    for statement in [
        "CREATE INDEX ON bench_events (_inserted_at, uuid)",
        "VACUUM ANALYZE bench_events",
    ] {
        psql(url, statement, Stdio::null())?;
    }
    Ok(vec![
        subject("postgres, in any order", url, "order_by = []\n", ""),
        subject("postgres, by time and uuid", url, "", " ORDER BY _inserted_at, uuid"),
    ])
}

fn subject(name: &'static str, url: &str, further: &str, order: &str) -> Subject {
    let (start, end) = DAY;
    let statement = format!(
        "COPY (SELECT * FROM bench_events WHERE _inserted_at >= '{start}' AND _inserted_at < '{end}'{order}) TO STDOUT \
         (FORMAT binary)"
    );
    Subject {
        name,
        source: format!(
            "type = \"postgres\"\nurl = {}\ntable = \"public.bench_events\"\ntime_column = \"_inserted_at\"\n{further}",
            json!(url)
        ),
        client: Some(["psql", "-X", "-q", "-c", &statement, url].map(str::to_owned).into()),
    }
}

fn psql(url: &str, statement: &str, input: Stdio) -> Result<()> {
    let status = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, url])
        .stdin(input)
        .stdout(Stdio::null())
        .status()
        .context("cannot start psql")?;
    ensure!(status.success(), "psql ended with {status} at: {statement}");
    Ok(())
}
