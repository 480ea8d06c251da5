"""The rows of an interval in a table of SQLite, as an Arrow IPC stream on standard output."""

import sqlite3
import sys
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.ipc

# SQLite knows no types of columns that it keeps to, so they are named here: a value of another type ends the program.
SCHEMA = pa.schema([
    ("id", pa.int64()),
    ("placed_at", pa.timestamp("us", tz="UTC")),
    ("country", pa.string()),
    ("amount", pa.float64()),
])
# The table holds microseconds since 1970.
QUERY = """
    SELECT id, placed_at, country, amount FROM orders
    WHERE placed_at >= ? AND placed_at < ?
    ORDER BY placed_at, id
"""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(text):
    since = datetime.fromisoformat(text) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


database, start, end = sys.argv[1:]
# Only read: a name that is misspelt is an error, and no new database.
connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
cursor = connection.execute(QUERY, (micros(start), micros(end)))
with pyarrow.ipc.new_stream(sys.stdout.buffer, SCHEMA) as stream:
    while rows := cursor.fetchmany(10_000):
        columns = [pa.array(values, field.type) for values, field in zip(zip(*rows), SCHEMA)]
        stream.write_batch(pa.record_batch(columns, schema=SCHEMA))
