"""polars reads a file into frames."""

import datetime

import polars as pl
from job import JOB
from timing import report

HOUR = [datetime.datetime.fromisoformat(end) for end in JOB.hour]
TEXTS = "uuid event distinct_id person_id properties person_properties elements_chain".split()
TIMES = "timestamp created_at _inserted_at".split()


def loaded(rows):
    """The rows, and what they hold in short."""

    def load():
        frame = rows.collect()
        texts = [name for name in TEXTS if name in frame.columns]
        return [frame.height, *(int(frame[name].str.len_bytes().sum()) for name in texts)]

    return load


if JOB.format == "jsonl":
    # JSON texts are written nested or as text. Columns of what is nested are impossible: its types change.
    report({"whole": loaded(pl.scan_ndjson(JOB.file, schema=dict.fromkeys(TEXTS + TIMES, pl.String)))})
else:
    rows = pl.scan_parquet(JOB.file)
    rows.select(pl.len()).collect()
    time = pl.col("timestamp")
    report(
        {
            "whole": loaded(rows),
            "column": loaded(rows.select("properties")),
            "hour": loaded(rows.filter((time >= HOUR[0]) & (time < HOUR[1]))),
            "user": loaded(rows.filter(pl.col("distinct_id") == JOB.user)),
        }
    )
