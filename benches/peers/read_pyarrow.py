"""pyarrow reads a file into tables."""

import datetime

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from job import JOB
from timing import report

HOUR = [datetime.datetime.fromisoformat(end) for end in JOB.hour]


def loaded(**what):
    """The rows, and what they hold in short."""

    def load():
        table = ds.dataset(JOB.file, format="parquet").to_table(**what)
        return [table.num_rows, pc.sum(pc.binary_length(table["properties"])).as_py()]

    return load


pq.read_metadata(JOB.file)
time = ds.field("timestamp")
report(
    {
        "whole": loaded(),
        "column": loaded(columns=["properties"]),
        "hour": loaded(filter=(time >= HOUR[0]) & (time < HOUR[1])),
        "user": loaded(filter=ds.field("distinct_id") == JOB.user),
    }
)
