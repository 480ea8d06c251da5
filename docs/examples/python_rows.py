"""Rows that a Python program makes or fetches, as an Arrow IPC stream on standard output: here, one for each minute."""

import sys
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.ipc

SCHEMA = pa.schema([("id", pa.int64()), ("placed_at", pa.timestamp("us", tz="UTC")), ("note", pa.string())])
MINUTE = timedelta(minutes=1)


def batches(start, end, size=1_000):
    first = datetime.min.replace(tzinfo=start.tzinfo)
    # The first whole minute that is not before the start.
    number = -((first - start) // MINUTE)
    rows = []
    while (at := first + number * MINUTE) < end:
        rows.append({"id": number, "placed_at": at, "note": f"minute {at:%H:%M}"})
        number += 1
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


start, end = map(datetime.fromisoformat, sys.argv[1:])
print(f"rows from {start} to {end}", file=sys.stderr)  # becomes a line of the run's log
# If anything fails, the stream stays without its end, and the exit code is 1: the run fails.
with pyarrow.ipc.new_stream(sys.stdout.buffer, SCHEMA) as stream:
    for rows in batches(start, end):
        stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
