"""Compares an output with the input: as many rows, in the same order, every value the same. Parquet is read by a reader
of another family than the writer's, JSON Lines by Python. Ends with a message about the first difference."""

import datetime
import gzip
import itertools
import sys

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from job import JOB

BATCH_ROWS = 50_000
TIME = pa.timestamp("us", "UTC")
JSON = ["properties", "person_properties"]
# Those that write and read by Arrow's C++; everybody else's files are read by it.
ARROW_CPP = ["pyarrow", "posthog"]


def fail(message):
    sys.exit(f"{JOB.output}: {message}")


def plain(batch, schema):
    """The batch with the input's names, and its values in the input's types."""
    if batch.schema.names != schema.names:
        fail(f"columns {batch.schema.names} instead of {schema.names}")
    return [batch.column(name).cast(schema.field(name).type) for name in schema.names]


def parquet_batches():
    if JOB.writer in ARROW_CPP:
        database = duckdb.connect()
        database.execute("SET TimeZone = 'UTC'")
        return database.sql(f"SELECT * FROM read_parquet('{JOB.output}')").to_arrow_reader(BATCH_ROWS)
    return pq.ParquetFile(JOB.output).iter_batches(BATCH_ROWS)


def compare_parquet(source):
    """Batches end where their reader likes, so what one has more than the other waits for the next."""
    types = [TIME if pa.types.is_timestamp(kind) else pa.large_string() for kind in source.schema_arrow.types]
    schema = pa.schema(list(zip(source.schema_arrow.names, types)))
    expected = (pa.Table.from_arrays(plain(batch, schema), schema=schema) for batch in source.iter_batches(BATCH_ROWS))
    found = (pa.Table.from_arrays(plain(batch, schema), schema=schema) for batch in parquet_batches())
    row, left, right = 0, schema.empty_table(), schema.empty_table()
    while True:
        left = left if left.num_rows else next(expected, left)
        right = right if right.num_rows else next(found, right)
        rows = min(left.num_rows, right.num_rows)
        if not rows:
            break
        for name in schema.names:
            if not left[name].slice(0, rows).equals(right[name].slice(0, rows)):
                fail(f"column {name} differs between rows {row} and {row + rows}")
        row, left, right = row + rows, left.slice(rows), right.slice(rows)
    if left.num_rows or right.num_rows:
        fail(f"{'fewer' if left.num_rows else 'more'} rows than the input's {source.metadata.num_rows}")


def moment(text):
    """A time in any of the spellings that tools have for UTC."""
    time = datetime.datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)


def value(cell, name):
    if isinstance(cell, str):
        if name in JSON:
            return orjson.loads(cell)
        if name in ("timestamp", "created_at", "_inserted_at"):
            return moment(cell)
    return cell


def compare_json_lines(source):
    expected = itertools.chain.from_iterable(batch.to_pylist() for batch in source.iter_batches(BATCH_ROWS))
    with gzip.open(JOB.output) as lines:
        for number, (line, row) in enumerate(itertools.zip_longest(lines, expected)):
            if line is None or row is None:
                fail(f"{'fewer' if line is None else 'more'} rows than the input's {source.metadata.num_rows}")
            found = orjson.loads(line)
            # polars leaves nulls out.
            for name in row:
                if value(found.pop(name, None), name) != value(row[name], name):
                    fail(f"row {number}: column {name} differs")
            if found:
                fail(f"row {number}: further columns {list(found)}")


input_file = pq.ParquetFile(JOB.input)
if JOB.format == "parquet":
    compare_parquet(input_file)
else:
    compare_json_lines(input_file)
