"""DuckDB: to a file, then to the store by boto3 (see `requirements.txt`)."""

import duckdb
import store
from job import JOB

file = f"{JOB.scratch}/duckdb"
how = {
    "parquet": "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1",
    "jsonl": "FORMAT json, COMPRESSION gzip",
}[JOB.format]
with duckdb.connect() as database:
    # DuckDB prints times with a zone in the session's.
    database.execute("SET TimeZone = 'UTC'")
    database.execute(f"COPY (SELECT * FROM read_parquet('{JOB.input}')) TO '{file}' ({how})")
store.client(JOB.store).upload_file(file, JOB.store.bucket, JOB.key)
