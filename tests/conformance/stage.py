"""What the features of the suite share: exports to one store, their reference, and a look at what the store holds with a
client that shares nothing with what is tested. Knows no feature."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import zstandard

ROWS = 3_000
# About 20 MiB as JSON Lines: three parts of a multipart upload.
MANY_ROWS = 20_000
# A million rows are counted in seconds if only their identifiers are made.
ONLY_UUID = pa.json.ParseOptions(
    explicit_schema=pa.schema([("uuid", pa.string())]), unexpected_field_behavior="ignore"
)
JSON_BLOCKS = pa.json.ReadOptions(block_size=8 << 20)


class Stage:
    """One store with the program in front of it; `reference` is the same program in front of devstore."""

    def __init__(self, program, store, reference):
        self.program = program
        self.store = store
        self.reference = reference
        self.client = store.client()
        self.runs = 0
        self.known_bytes = {}

    def table(self, prefix, rows=ROWS, endpoint=None, **fields):
        """A destination's table; `fields` go on top."""
        table = self.store.destination(endpoint) | {
            "model": "events",
            "prefix": prefix,
            "file_format": "JSONLines",
            "source": {"type": "sample", "rows_per_hour": rows},
        }
        egress = table["egress"] | fields.pop("egress", {})
        return table | fields | {"egress": egress}

    def export(self, table, wrapper=()):
        """Run one export."""
        self.runs += 1
        config = self.program.configure({self.store.word: table}, f"run-{self.runs:03d}")
        return self.program.run(config, self.store.word, wrapper)

    def exported(self, prefix, **fields):
        """Export under the prefix, and prove that every object holds the very bytes that the reference has."""
        table = self.table(prefix, **fields)
        printed = self.export(table).report()
        self.prove(printed["report"], table)
        return printed["report"] | {"warnings": printed["warnings"]}

    def prove(self, report, table):
        """The objects are those reported, each with the reference's bytes; nothing is left open."""
        wanted = self.expected(table)
        keys = [file["key"] for file in report["files"]]
        manifest = report["manifest_key"]
        found = [self.bytes(key) for key in keys]
        if found != wanted["files"]:
            sizes = [list(map(len, each)) for each in [found, wanted["files"]]]
            raise AssertionError(f"{keys} hold other bytes than the reference; sizes {sizes[0]}, {sizes[1]}")
        if manifest is not None and json.loads(self.bytes(manifest)) != {"files": keys}:
            raise AssertionError(f"{manifest} lists other files than {keys}")
        if open_uploads := self.open_uploads():
            raise AssertionError(f"uploads are still open: {open_uploads}")

    def expected(self, table):
        """The bytes of the same rows in the same format, exported to devstore without anything special."""
        shape = ["file_format", "compression", "max_file_size_mb", "source", "model"]
        plain = {field: table[field] for field in shape if field in table}
        name = json.dumps(plain, sort_keys=True)
        if name not in self.known_bytes:
            prefix = f"reference-{len(self.known_bytes)}/"
            whole = self.reference.destination() | plain | {"prefix": prefix}
            # A name of its own for each store, so that two runs of the suite can go on at once.
            name_of_run = f"reference-{self.store.word}"
            config = self.program.configure({name_of_run: whole}, "reference")
            report = self.program.run(config, name_of_run).report()["report"]
            client = self.reference.client()
            contents = [
                client.get_object(Bucket=self.reference.bucket, Key=file["key"])["Body"].read()
                for file in report["files"]
            ]
            count_rows(table, contents, table["source"]["rows_per_hour"])
            self.known_bytes[name] = {"files": contents}
        return self.known_bytes[name]

    # -- what the store holds

    def bytes(self, key):
        return self.client.get_object(Bucket=self.store.bucket, Key=key)["Body"].read()

    def head(self, key):
        return self.client.head_object(Bucket=self.store.bucket, Key=key, ChecksumMode="ENABLED")

    def keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.store.bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def open_uploads(self):
        answer = self.client.list_multipart_uploads(Bucket=self.store.bucket)
        return [upload["Key"] for upload in answer.get("Uploads", [])]


def count_rows(table, contents, rows):
    """Every row is there and each once, by its identifier. `contents` may be made one by one."""
    identifiers = []
    for content in contents:
        if table["file_format"] == "Parquet":
            column = pq.read_table(io.BytesIO(content), columns=["uuid"])["uuid"]
            identifiers.append(column.combine_chunks())
        else:
            content = unpacked(table.get("compression", "none"), content)
            column = pa.json.read_json(io.BytesIO(content), JSON_BLOCKS, ONLY_UUID)["uuid"]
            identifiers.append(column.combine_chunks())
    identifiers = pa.concat_arrays(identifiers)
    if len(identifiers) != rows or len(identifiers.unique()) != rows:
        raise AssertionError(f"{len(identifiers)} rows, {len(identifiers.unique())} of them different, not {rows}")


def unpacked(codec, content):
    if codec == "gzip":
        return gzip.decompress(content)
    if codec == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content
