"""Exports what the example programs of docs/programs.md supply, through the real program and component, and compares
every value with what they read. Prints a line for each; any difference fails."""

import argparse
import contextlib
import io
import json
import shutil
import sqlite3
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import rows
from program import HOUR, Program
from stores import Devstore, fresh, leave_nothing_behind

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
INTERVAL = ["{data_interval_start}", "{data_interval_end}"]
FIRST = datetime.fromtimestamp(rows.START_MICROS / 1_000_000, timezone.utc)
HOUR_MINUTES = 60
# Three hours around the interval, a row for each second and one a microsecond before each end of it.
SECONDS = 3 * 60 * 60


def orders():
    """Rows inside and outside of the interval, in no order, with nulls and texts of all kinds."""
    moments = [FIRST + timedelta(seconds=second - 3600) for second in range(SECONDS)]
    moments += [FIRST - timedelta(microseconds=1), FIRST + timedelta(hours=1, microseconds=-1)]
    countries = ["DE", "a'b\"c", "日本", "", None, "{data_interval_start}"]
    made = [
        {
            "id": number * 7 % len(moments),
            "placed_at": at,
            "country": countries[number % len(countries)],
            "amount": None if number % 11 == 0 else number / 8,
        }
        for number, at in enumerate(moments)
    ]
    return sorted(made, key=lambda row: row["id"])


def inside(made):
    chosen = [row for row in made if FIRST <= row["placed_at"] < FIRST + timedelta(hours=1)]
    return sorted(chosen, key=lambda row: (row["placed_at"], row["id"]))


def prepare(folder, made):
    """The rows as Parquet files and in a table of SQLite."""
    parquet = fresh(folder / "parquet")
    half = len(made) // 2
    for name, part in [("a", made[:half]), ("b", made[half:])]:
        pq.write_table(pa.Table.from_pylist(part), parquet / f"{name}.parquet")
    database = folder / "orders.db"
    database.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER, placed_at INTEGER, country TEXT, amount REAL)")
        epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
        cells = [
            (row["id"], (row["placed_at"] - epoch) // timedelta(microseconds=1), row["country"], row["amount"])
            for row in made
        ]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", cells)


def minutes():
    """What python_rows.py makes."""
    first = datetime.min.replace(tzinfo=timezone.utc)
    moments = [FIRST + timedelta(minutes=minute) for minute in range(HOUR_MINUTES)]
    return [
        {"id": (at - first) // timedelta(minutes=1), "placed_at": at, "note": f"minute {at:%H:%M}"} for at in moments
    ]


def exported(store, report):
    """The rows that the objects hold."""
    client = store.client()
    found = []
    for file in report["files"]:
        body = client.get_object(Bucket=store.bucket, Key=file["key"])["Body"].read()
        found += pq.read_table(io.BytesIO(body)).to_pylist()
    return found


def check(program, store, name, command, expected):
    """One example: an export that holds exactly these rows, which `verify` confirms, and a run that fails."""
    table = store.destination() | {
        "model": "orders",
        "prefix": f"{name}/",
        "file_format": "Parquet",
        "source": {"type": "command", "command": command, "environment": ["PATH"]},
    }
    config = program.configure({name: table}, name)
    report = program.run(config, name).report()["report"]
    found = exported(store, report)
    if found != expected:
        wrong = next((pair for pair in zip(found, expected) if pair[0] != pair[1]), None)
        raise AssertionError(f"{len(found)} rows, expected {len(expected)}; the first that differ: {wrong}")
    verified = program.call("verify", config, "--destination", name, *HOUR, "--json")
    if verified.code != 0:
        raise AssertionError(f"verify: exit code {verified.code}: {verified.stderr}")
    return len(found)


def refused(program, store, name, command, *words):
    """A run of a program that fails: exit code 1, and nothing is written."""
    table = store.destination() | {
        "model": "orders",
        "prefix": f"{name}/",
        "source": {"type": "command", "command": command, "environment": ["PATH"]},
    }
    config = program.configure({name: table}, name)
    program.run(config, name).refused(1, *words)
    listed = store.client().list_objects_v2(Bucket=store.bucket, Prefix=f"{name}/")
    if listed["KeyCount"] != 0:
        raise AssertionError(f"{name}: objects were written")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--only", default="", help="only examples whose names hold this text")
    arguments.add_argument("--json", action="store_true", help="print the result as JSON")
    given = arguments.parse_args()
    leave_nothing_behind()
    begun = time.monotonic()
    program = Program(given.program, given.component, given.folder / "runs", given.state)
    # Programs and data are where a user's would be: next to the configuration.
    folder = program.folder
    made = orders()
    prepare(folder, made)
    for script in EXAMPLES.glob("*.py"):
        shutil.copy(script, folder)
    python = sys.executable
    examples = {
        "duckdb": ([python, "duckdb_parquet.py", "parquet/*.parquet", *INTERVAL], inside(made)),
        "sqlite": ([python, "sqlite_rows.py", "orders.db", *INTERVAL], inside(made)),
        "python": ([python, "python_rows.py", *INTERVAL], minutes()),
    }
    failures = {
        "no-files": ([python, "duckdb_parquet.py", "parquet/*.orc", *INTERVAL], ["exit code 1", "No files found"]),
        "no-database": ([python, "sqlite_rows.py", "other.db", *INTERVAL], ["exit code 1", "unable to open database"]),
    }
    outcomes = {}
    with Devstore(given.devstore, given.folder / "store") as store:
        for name, (command, expected) in examples.items():
            if given.only in name:
                try:
                    outcomes[name] = f"{check(program, store, name, command, expected)} rows equal"
                except AssertionError as trouble:
                    outcomes[name] = f"FAILED: {trouble}"
        for name, (command, words) in failures.items():
            if given.only in name:
                try:
                    refused(program, store, name, command, *words)
                    outcomes[name] = "refused, nothing written"
                except AssertionError as trouble:
                    outcomes[name] = f"FAILED: {trouble}"
    if given.json:
        print(json.dumps(outcomes, indent=2, ensure_ascii=False))
    else:
        for name, outcome in outcomes.items():
            print(f"{name:12} {outcome}")
        print(f"{time.monotonic() - begun:.0f} s")
    return 1 if any("FAILED" in outcome for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
