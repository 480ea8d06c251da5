"""Exports every format, codec and model through the real component, and reads every file back with programs that share
no code with it. Prints a table of reader and file kind; any difference from the source's rows fails."""

import argparse
import gzip
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import brotli
import chdb
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import zstandard

import compare
import matrix
import rows
from program import Program
from stores import Devstore, leave_nothing_behind

CODECS = {
    "JSONLines": {"none": ".jsonl", "gzip": ".jsonl.gz", "brotli": ".jsonl.br", "zstd": ".jsonl.zst"},
    "Parquet": {
        "none": ".parquet",
        "gzip": ".parquet.gz",
        "brotli": ".parquet.br",
        "zstd": ".parquet.zst",
        "lz4": ".parquet.lz4",
        "snappy": ".parquet.sz",
    },
}
MODELS = ["events", "persons", "sessions", "types"]


class Refused(Exception):
    """The reader cannot read files of this kind or name; what it said."""


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def in_utc():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


# -- readers of Parquet: a path in, a table out


def pyarrow_file(path):
    return pq.read_table(path)


def pyarrow_dataset(path):
    return ds.dataset(str(path), format="parquet").to_table()


def duckdb_function(path):
    with in_utc() as connection:
        return connection.sql(f"SELECT * FROM read_parquet({quoted(path)})").to_arrow_table()


def duckdb_name(path):
    """By the name alone, as people type it."""
    with in_utc() as connection:
        return connection.sql(f"SELECT * FROM {quoted(path)}").to_arrow_table()


def polars_file(path):
    return pl.read_parquet(path).to_arrow()


def polars_scan(path):
    return pl.scan_parquet(path).collect().to_arrow()


def clickhouse(path, *arguments):
    call = ", ".join(map(quoted, [path, "Parquet", *arguments]))
    # Row groups are read side by side otherwise, and rows come in the order in which they were done.
    settings = (
        "output_format_arrow_string_as_string = 1, session_timezone = 'UTC', "
        "input_format_parquet_preserve_order = 1, max_threads = 1"
    )
    answer = chdb.query(f"SELECT * FROM file({call}) SETTINGS {settings}", "ArrowStream")
    return pa.ipc.open_stream(answer.bytes()).read_all()


def clickhouse_by_ending(path):
    return clickhouse(path)


def clickhouse_as_named(path):
    """With the codec of the whole file named: none."""
    return clickhouse(path, "auto", "none")


PARQUET_READERS = {
    "pyarrow": pyarrow_file,
    "pyarrow dataset": pyarrow_dataset,
    "DuckDB read_parquet": duckdb_function,
    "DuckDB FROM 'name'": duckdb_name,
    "polars": polars_file,
    "polars scan": polars_scan,
    "ClickHouse": clickhouse_by_ending,
    "ClickHouse 'none'": clickhouse_as_named,
}

# -- readers of JSON Lines


def python_json(path):
    packed = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(packed).decode()
    if path.suffix == ".br":
        return brotli.decompress(packed).decode()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(packed).decode()
    return packed.decode()


def duckdb_type(field):
    """Types that hold exactly what JSON Lines writes; the rest stays JSON, which keeps the text."""
    kind = compare.plain_type(field.type)
    if (field.metadata or {}).get(b"ARROW:extension:name") == b"arrow.json":
        return "JSON"
    if pa.types.is_string(kind):
        return "VARCHAR"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    if pa.types.is_int64(kind):
        return "BIGINT"
    if pa.types.is_uint64(kind):
        return "UBIGINT"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_float64(kind):
        return "DOUBLE"
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return "VARCHAR[]"
    return "JSON"


def duckdb_json(path, expected):
    """DuckDB's own JSON reader, with the columns' types given."""
    if path.suffix == ".br":
        raise Refused("DuckDB has no brotli for JSON")
    columns = ", ".join(f"{quoted(f.name)}: {quoted(duckdb_type(f))}" for f in expected.schema)
    options = f"format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 100000000"
    with in_utc() as connection:
        query = f"SELECT * FROM read_json({quoted(path)}, {options})"
        return connection.sql(query).to_arrow_table()


def check_duckdb_json(expected, read):
    typed = [f.name for f in expected.schema if duckdb_type(f) != "JSON"]
    compare.tables(expected.select(typed), read.select(typed))
    for field in expected.schema:
        if field.name in typed:
            continue
        wanted = compare.json_cells(field, expected[field.name])
        for row, (value, text) in enumerate(zip(wanted, read[field.name].to_pylist())):
            # A JSON null and an absent value are the same to DuckDB, and numbers inside JSON are doubles.
            found = None if text is None else compare.json_value(text)
            if not compare.same_json(value, found, doubles=True):
                raise compare.Difference(f"column {field.name}, row {row}: {found!r:.80}, not {value!r:.80}")


# -- the run


class File:
    """One exported data file or the files of a split run, downloaded under their own names."""

    def __init__(self, model, file_format, codec, split, ending, paths):
        self.model = model
        self.format = file_format
        self.codec = codec
        self.split = split
        self.ending = ending
        self.paths = paths


def destinations(store, source_folder):
    """One destination for each format, codec, way of splitting, extension and model."""
    made = {}
    for file_format, codecs in CODECS.items():
        for codec, ending in codecs.items():
            styles = [("with_codec", ending)]
            if file_format == "Parquet" and codec != "none":
                styles.append(("plain", ".parquet"))
            for model in MODELS:
                for split in [False, True]:
                    for style, ending in styles:
                        name = f"{model}-{file_format}-{codec}-{'split' if split else 'one'}-{style}"
                        table = store.destination() | {
                            "model": model,
                            "prefix": f"{name}/",
                            "file_format": file_format,
                            "compression": codec,
                            "max_file_size_mb": 1 if split else 0,
                            "parquet_extension": style,
                            "source": {"type": "files", "path": str(source_folder / f"{model}.arrow")},
                        }
                        made[name] = (table, model, file_format, codec, split, ending)
    return made


def export(program, store, source_folder, folder, only):
    """Run every destination and download what it wrote."""
    made = {name: each for name, each in destinations(store, source_folder).items() if only in name}
    config = program.configure({name: made[name][0] for name in made}, "readers")
    client = store.client()
    for name, (_, model, file_format, codec, split, ending) in made.items():
        report = program.run(config, name).report()["report"]
        keys = [file["key"] for file in report["files"]]
        if not all(key.endswith(ending) for key in keys):
            raise AssertionError(f"{name}: keys should end with {ending}: {keys}")
        if split and (len(keys) < 2 or report["manifest_key"] is None):
            raise AssertionError(f"{name}: a split run should write several files and a manifest: {keys}")
        paths = []
        for key in keys:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(store.bucket, key, str(path))
            paths.append(path)
        yield File(model, file_format, codec, split, ending, paths)


def readings(file, expected):
    """What each reader made of a run's files: its name and None or what is wrong."""
    if file.format == "JSONLines":
        yield "python json", attempt(
            lambda: compare.json_lines(expected, "".join(map(python_json, file.paths)))
        )
        yield "DuckDB read_json", attempt(
            lambda: check_duckdb_json(
                expected, pa.concat_tables(duckdb_json(path, expected) for path in file.paths)
            )
        )
        return
    for name, reader in PARQUET_READERS.items():
        yield name, attempt(lambda: check_parquet(expected, file.paths, reader))


def check_parquet(expected, paths, reader):
    read = pa.concat_tables(map(reader, paths), promote_options="permissive")
    # ClickHouse's arrays and maps are never null.
    compare.tables(expected, read, null_is_empty=reader in [clickhouse_by_ending, clickhouse_as_named])


def attempt(read):
    try:
        read()
    except compare.Difference as error:
        return ("FAILED", str(error))
    except Exception as error:  # whatever a reader raises is its refusal
        return ("refused", f"{type(error).__name__}: {str(error).splitlines()[0]:.200}")
    return None


# What readers are known to refuse by a file's name, and why; one that no longer does fails the run, as docs say it does.
BY_ENDING = "decompresses by the last extension, though the file is compressed internally"
UNKNOWN_ENDING = "does not know the ending; read_parquet(…) reads it"
KNOWN = {
    **{("DuckDB FROM 'name'", ending): UNKNOWN_ENDING for ending in [".parquet.br", ".parquet.lz4", ".parquet.sz"]},
    **{
        ("ClickHouse", ending): BY_ENDING
        for ending in [".parquet.gz", ".parquet.br", ".parquet.zst", ".parquet.lz4"]
    },
    ("DuckDB read_json", ".jsonl.br"): "has no brotli for JSON",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--only", default="", help="only exports whose names hold this text")
    arguments.add_argument("--json", action="store_true", help="print the result as JSON")
    given = arguments.parse_args()
    leave_nothing_behind()
    begun = time.monotonic()
    program = Program(given.program, given.component, given.folder / "runs", given.state)
    session_columns = [
        column["name"] for column in program.call("schema", None, "sessions", "--json").document()["models"][0]["columns"]
    ]
    sources = rows.write(given.folder / "source", session_columns)
    readings_seen = []
    with Devstore(given.devstore, given.folder / "store") as store:
        for file in export(program, store, given.folder / "source", given.folder / "objects", given.only):
            print(f"reading {file.paths[0].parent.name}", file=sys.stderr, flush=True)
            for reader, trouble in readings(file, sources[file.model]):
                readings_seen.append((file, reader, trouble))
    cells, unexpected = judge(readings_seen)
    if given.json:
        print(document(cells, unexpected))
    else:
        report(cells, unexpected, time.monotonic() - begun)
    return 1 if unexpected else 0


def judge(readings_seen):
    """A word for each format, extension, reader and codec; and what should not be."""
    gathered = defaultdict(list)
    for file, reader, trouble in readings_seen:
        gathered[file.format, file.ending, reader, file.codec].append((file, trouble))
    cells, unexpected = {}, []
    for (file_format, ending, reader, codec), seen in gathered.items():
        wrong = [(file, trouble) for file, trouble in seen if trouble]
        known = KNOWN.get((reader, ending))
        cell = (file_format, ending, reader, codec)
        if known and len(wrong) == len(seen) and all(outcome == "refused" for _, (outcome, _) in wrong):
            cells[cell] = "refused"
            continue
        cells[cell] = f"{len(wrong)} FAILED" if wrong else f"{len(seen)} read"
        for file, (_, text) in wrong:
            unexpected.append(f"{reader}, {ending}, {file.model}{' split' if file.split else ''}: {text}")
        if known and not wrong:
            unexpected.append(f"{reader}, {ending}: reads it, though readers.py says that it {known}")
    return cells, unexpected


def document(cells, unexpected):
    """The same for programs."""
    found = [
        {"format": file_format, "ending": ending, "reader": reader, "codec": codec, "outcome": word.lower()}
        for (file_format, ending, reader, codec), word in cells.items()
    ]
    return json.dumps({"cells": found, "failed": unexpected}, indent=2, ensure_ascii=False)


def report(cells, unexpected, seconds):
    """A table for each format and way of naming files, the known refusals, and a sentence on the result."""
    tables = defaultdict(lambda: defaultdict(dict))
    for (file_format, ending, reader, codec), word in cells.items():
        # `none` has the same name either way.
        named = ending if ending == ".parquet" else {"Parquet": ".parquet.CODEC", "JSONLines": ".jsonl"}[file_format]
        tables[named][reader][codec] = word
    for title, body in tables.items():
        codecs = list(dict.fromkeys(codec for cells_of_reader in body.values() for codec in cells_of_reader))
        print(matrix.table(title, codecs, body) + "\n")
    for (reader, ending), reason in KNOWN.items():
        print(f"{reader}, {ending}: {reason}")
    for line in unexpected:
        print(matrix.paragraph(f"FAILED {line}"))
    read = sum(int(word.split()[0]) for word in cells.values() if word.endswith("read"))
    verdict = f"{len(unexpected)} FAILED" if unexpected else "all as known"
    print(f"{read} readings equal to their source, {len(MODELS)} models, {seconds:.0f} s; {verdict}.")


if __name__ == "__main__":
    sys.exit(main())
