"""PostHog's batch export, restated from its source: a pyarrow writer without statistics that gets one record batch after
the other, or two processes that dump each row as JSON and compress it by itself; parts of 50 MiB, five at once."""

import concurrent.futures
import gzip
import io
import multiprocessing

import orjson
import pyarrow.parquet as pq
import store
from job import JOB

PART_BYTES = 50 << 20
PARTS_AT_ONCE = 5
PROCESSES = 2
# As many rows as its record batches usually have.
BATCH_ROWS = 8_192


def parquet(batches, schema):
    buffer = io.BytesIO()

    def taken():
        chunk = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return chunk

    writer = pq.ParquetWriter(buffer, schema, compression="zstd", compression_level=1, write_statistics=False)
    for batch in batches:
        writer.write_batch(batch)
        yield taken()
    writer.close()
    yield taken()


def dumped(batch):
    """Each row as a gzip member. PostHog parses JSON columns first: they are nested in the line."""
    lines = []
    for row in batch.to_pylist():
        for column in ("properties", "person_properties"):
            row[column] = row[column] and orjson.loads(row[column])
        lines.append(gzip.compress(orjson.dumps(row, default=str) + b"\n"))
    return b"".join(lines)


def json_lines(batches, _):
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(PROCESSES, mp_context=fork) as pool:
        pending = []
        for batch in batches:
            pending.append(pool.submit(dumped, batch))
            if len(pending) == PROCESSES:
                yield pending.pop(0).result()
        for each in pending:
            yield each.result()


def upload(chunks):
    client = store.client(JOB.store)
    to = {"Bucket": JOB.store.bucket, "Key": JOB.key}
    to["UploadId"] = client.create_multipart_upload(**to)["UploadId"]

    def send(number, body):
        answer = client.upload_part(**to, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with concurrent.futures.ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        parts, part = [], bytearray()

        def sent():
            running = [each for each in parts if not each.done()]
            if len(running) == PARTS_AT_ONCE:
                concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            parts.append(pool.submit(send, len(parts) + 1, bytes(part)))
            part.clear()

        for chunk in chunks:
            part += chunk
            if len(part) >= PART_BYTES:
                sent()
        if part or not parts:
            sent()
        done = [each.result() for each in parts]
    client.complete_multipart_upload(**to, MultipartUpload={"Parts": done})


source = pq.ParquetFile(JOB.input)
transform = parquet if JOB.format == "parquet" else json_lines
upload(transform(source.iter_batches(batch_size=BATCH_ROWS), source.schema_arrow))
