"""pyarrow: record batch for record batch to the store, as its documentation shows."""

import os

# No checksums besides the signed hash of each body, as everybody sends them here.
os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "WHEN_REQUIRED"

import pyarrow.fs
import pyarrow.parquet as pq
from job import JOB

store = JOB.store
scheme, address = store.endpoint.split("://")
files = pyarrow.fs.S3FileSystem(
    access_key=store.access_key,
    secret_key=store.secret_key,
    region=store.region,
    scheme=scheme,
    endpoint_override=address,
)
source = pq.ParquetFile(JOB.input)
with (
    files.open_output_stream(f"{store.bucket}/{JOB.key}") as target,
    pq.ParquetWriter(target, source.schema_arrow, compression="zstd", compression_level=1) as writer,
):
    for batch in source.iter_batches():
        writer.write_batch(batch, row_group_size=100_000)
