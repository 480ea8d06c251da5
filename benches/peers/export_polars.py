"""polars: its streaming engine, straight to the store."""

import polars as pl
from job import JOB

store = JOB.store
options = {
    "aws_endpoint_url": store.endpoint,
    "aws_region": store.region,
    "aws_access_key_id": store.access_key,
    "aws_secret_access_key": store.secret_key,
    "aws_allow_http": "true",
}
target = f"s3://{store.bucket}/{JOB.key}"
rows = pl.scan_parquet(JOB.input)
if JOB.format == "parquet":
    rows.sink_parquet(target, compression="zstd", compression_level=1, storage_options=options)
else:
    rows.sink_ndjson(target, compression="gzip", storage_options=options)
