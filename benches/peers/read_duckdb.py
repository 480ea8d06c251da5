"""DuckDB reads a file: every value is decoded and summed up, as a query over it does."""

import duckdb
from job import JOB
from timing import report

TEXTS = "uuid event distinct_id person_id properties person_properties elements_chain".split()
TIMES = "timestamp created_at _inserted_at".split()
TYPES = ", ".join([f"'{name}': 'VARCHAR'" for name in TEXTS] + [f"'{name}': 'TIMESTAMPTZ'" for name in TIMES])
LENGTHS = [f"sum(strlen({name}))" for name in TEXTS]
SUMS = ", ".join(["count(*)"] + LENGTHS + [f"max(epoch_us({name}))" for name in TIMES])

database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")


def ask(what, which="true"):
    return lambda: [str(cell) for cell in database.execute(f"SELECT {what} FROM {rows} WHERE {which}").fetchone()]


if JOB.format == "jsonl":
    rows = f"read_json('{JOB.file}', format = 'newline_delimited', columns = {{{TYPES}}})"
    # JSON texts are written nested or as text, so their lengths differ.
    report({"whole": ask("count(*), sum(strlen(uuid)), max(strlen(properties)) > 99, max(epoch_us(timestamp))")})
else:
    rows = f"read_parquet('{JOB.file}')"
    ask("count(*)")()
    report(
        {
            "whole": ask(SUMS),
            "column": ask("count(*), sum(strlen(properties))"),
            "hour": ask(SUMS, f"timestamp >= '{JOB.hour[0]}' AND timestamp < '{JOB.hour[1]}'"),
            "user": ask(SUMS, f"distinct_id = '{JOB.user}'"),
        }
    )
