"""The rows of an interval that DuckDB finds in Parquet files, as an Arrow IPC stream on standard output."""

import sys

import duckdb
import pyarrow.ipc

QUERY = """
    SELECT * FROM read_parquet($files)
    WHERE placed_at >= $start::TIMESTAMPTZ AND placed_at < $end::TIMESTAMPTZ
    ORDER BY placed_at, id
"""

files, start, end = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
rows = connection.execute(QUERY, {"files": files, "start": start, "end": end}).to_arrow_reader(10_000)
with pyarrow.ipc.new_stream(sys.stdout.buffer, rows.schema) as stream:
    for batch in rows:
        stream.write_batch(batch)
