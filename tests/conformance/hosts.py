"""Runs the shipped component in hosts that are not ours, in Python and in Node, and in ours: the same rows must give the
same objects, byte for byte. Installs nothing."""

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

import rows
from program import HOUR, Program
from stores import Devstore, fresh, leave_nothing_behind

HOSTS = Path(__file__).with_name("hosts")
# Hosts compile the component first, which takes half a minute on a slow machine.
TIME_LIMIT_S = 300
ROWS = 4_000
BATCH_ROWS = 700
MODEL = "readings"
# What is compared: a name, and the fields of the destination.
EXPORTS = {
    "a Parquet file": {"file_format": "Parquet", "compression": "zstd"},
    "JSON Lines in several files with a manifest": {"file_format": "JSONLines", "max_file_size_mb": 1},
    "compressed JSON Lines": {"file_format": "JSONLines", "compression": "gzip", "checksum": "sha256"},
}
# Needs payloads of 8 MiB, which wasmtime-py does not take: a multipart upload.
MULTIPART = {"a multipart upload": {"file_format": "JSONLines"}}
MULTIPART_ROWS = 30_000


def write_rows(path, count):
    """An Arrow stream with rows of every common type, in batches of a few hundred KiB."""
    start = datetime.datetime.fromtimestamp(rows.START_MICROS / 1e6, datetime.timezone.utc)
    step = datetime.timedelta(hours=1) / count
    numbers = range(count)
    table = pa.table(
        {
            "at": pa.array([start + step * n for n in numbers], pa.timestamp("us", "UTC")),
            "sensor": [f"sensor-{n % 17:02d} 日本" for n in numbers],
            "value": [None if n % 11 == 0 else n / 8 for n in numbers],
            "count": pa.array([n * n for n in numbers], pa.int64()),
            "valid": [n % 3 > 0 for n in numbers],
            "tags": [[f"t{n % 5}"] * (n % 4) for n in numbers],
            "text": [f"{n * 2654435761 % 2**32:08x}" * 40 for n in numbers],
        }
    )
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table, max_chunksize=BATCH_ROWS)
    return count


class Ours:
    """The program `batch-export`."""

    name = "batch-export"

    def __init__(self, given):
        self.given = given

    def export(self, store, folder, fields, path, count):
        program = Program(self.given.program, self.given.component, folder, self.given.state)
        source = {"type": "files", "path": str(path), "time_column": "at"}
        config = program.configure({"hosts": store.destination() | fields | {"model": MODEL, "source": source}})
        report = program.call("run", config, "--destination", "hosts", *HOUR, "--json").report()["report"]
        return report["rows_exported"]


class Foreign:
    """A host in another language: a program that takes a job file."""

    def __init__(self, name, given, *line):
        self.name = name
        self.given = given
        self.line = line

    def export(self, store, folder, fields, path, count):
        job = folder / "job.json"
        destination = store.destination()
        configuration = {name: destination[name] for name in ["bucket_name", "region", "endpoint_url"]}
        document = {
            "component": str(self.given.component),
            "configuration": configuration | fields,
            "run": {"id": f"hosts-{MODEL}-0", "attempt": "1", "model": MODEL},
            "start": rows.START_MICROS,
            "end": rows.START_MICROS + 3_600_000_000,
            "rows": str(path),
            "row_count": count,
            "access_key": store.access_key,
            "secret_key": store.secret_key,
            "notes": str(folder / "notes"),
        }
        job.write_text(json.dumps(document, indent=2))
        ended = subprocess.run(
            [*map(str, self.line), str(job)], capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
        )
        if ended.returncode != 0:
            raise AssertionError(f"{self.name} ended with {ended.returncode}: {ended.stderr.strip()}")
        return json.loads(ended.stdout)["rows"]


def landed(host, given, word, fields, path, count):
    """Exports into a new store; returns what is in it then: bytes by key."""
    folder = fresh(given.folder / word / host.name)
    with Devstore(given.devstore, folder / "store") as store:
        exported = host.export(store, folder, fields | {"prefix": "{table}/{year}/"}, path, count)
        if exported != count:
            raise AssertionError(f"{host.name} exported {exported} rows of {count}")
        client = store.client()
        if client.list_multipart_uploads(Bucket=store.bucket).get("Uploads"):
            raise AssertionError(f"{host.name} left an upload open")
        keys = [item["Key"] for item in client.list_objects_v2(Bucket=store.bucket).get("Contents", [])]
        return {key: client.get_object(Bucket=store.bucket, Key=key)["Body"].read() for key in keys}


def refused(host, given, path, count):
    """Exports into a bucket that is not there: the host tells what happened and what to do."""
    folder = fresh(given.folder / "refused" / host.name)
    with Devstore(given.devstore, folder / "store") as store:
        fields = {"prefix": "x/", "bucket_name": "no-such-bucket"}
        try:
            host.export(store, folder, fields, path, count)
        except AssertionError as error:
            told = str(error)
            if "refused: " in told and "404 NoSuchBucket" in told and "(hint: create the bucket, or check" in told:
                return f"{host.name}: a refusal is told with its hint"
            raise
        raise AssertionError(f"{host.name} exported into a bucket that is not there")


def compare(given, hosts, exports, path, count):
    """Every export by our host and by these; yields a line for each."""
    for at, (name, fields) in enumerate(exports.items()):
        word = f"{path.stem}-{at}"
        expected = landed(Ours(given), given, word, fields, path, count)
        for host in hosts:
            found = landed(host, given, word, fields, path, count)
            if found != expected:
                sizes = [{key: len(content) for key, content in each.items()} for each in [found, expected]]
                raise AssertionError(f"{host.name}, {name}: wrote {sizes[0]} where batch-export wrote {sizes[1]}")
            size = sum(map(len, found.values()))
            yield f"{host.name}: {name}: {len(found)} objects, {size:,} bytes, equal"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state", "python", "node", "transpiled"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    given = arguments.parse_args()
    leave_nothing_behind()
    fresh(given.folder)
    python = Foreign("wasmtime-py", given, given.python, HOSTS / "host.py")
    node = Foreign("node", given, given.node, HOSTS / "host.mjs", given.transpiled)
    few, many = given.folder / "few.arrows", given.folder / "many.arrows"
    try:
        for line in compare(given, [python, node], EXPORTS, few, write_rows(few, ROWS)):
            print(line, flush=True)
        for host in [python, node]:
            print(refused(host, given, few, ROWS), flush=True)
        for line in compare(given, [node], MULTIPART, many, write_rows(many, MULTIPART_ROWS)):
            print(line, flush=True)
    except AssertionError as error:
        sys.exit(f"hosts: {error}")


if __name__ == "__main__":
    main()
