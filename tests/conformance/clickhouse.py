"""Exports what ClickHouse's engine holds through the real program, as Parquet and as JSON Lines, and compares every value
with what the engine itself says: every type, a million rows, order, intervals, event lists, users that may change
nothing, and mistakes. Any difference fails."""

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import compare
import matrix
import rows
from clickhouse_server import READER, WRITER, Engine, Server
from clickhouse_types import CASES
from program import HOUR, Outcome, Program
from stores import Devstore, leave_nothing_behind

MILLION = 1_000_000
# What the host may take while it exports a million rows: its budget for a run with usual settings.
MEMORY_MIB = 300
EVENTS = ["$pageview", "it's \\ \"quoted\"", "日本語", ""]


class Scene:
    """The engine, the interface in front of it, a store, and the program."""

    def __init__(self, program, store, engine, server, folder):
        self.program = program
        self.store = store
        self.engine = engine
        self.server = server
        self.folder = folder
        self.runs = 0
        self.peak_kib = 0

    def source(self, user=WRITER, **keys):
        name, password = user
        return {"type": "clickhouse", "url": self.server.url, "user": name, "password": password} | keys

    def start(self, command, source, model="orders", arguments=(), **fields):
        """Run a command on a destination of its own; returns its outcome and its prefix."""
        self.runs += 1
        name = f"run-{self.runs:03d}"
        table = self.store.destination() | {
            "model": model,
            "custom_model": model == "orders",
            "prefix": f"{name}/",
            "file_format": "Parquet",
            "source": source,
            "check": "on_request",
        }
        if model == "events":
            del table["custom_model"]
        config = self.program.configure({name: table | fields}, name)
        process = self.program.start(command, config, "--destination", name, *arguments)
        stdout, stderr = self.watched(process)
        return Outcome(process.returncode, stdout, stderr)

    def watched(self, process):
        """The output of a process; the most memory that it had is kept."""
        ended = threading.Event()

        def watch():
            while not ended.is_set():
                try:
                    status = Path(f"/proc/{process.pid}/status").read_text()
                except OSError:
                    return
                peak = [line for line in status.splitlines() if line.startswith("VmHWM")]
                self.peak_kib = max([self.peak_kib, *(int(line.split()[1]) for line in peak)])
                ended.wait(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            return process.communicate(timeout=600)
        finally:
            ended.set()
            watcher.join()
            if process.poll() is None:
                process.kill()

    def export(self, source, arguments=HOUR, **fields):
        return self.start("run", source, arguments=[*arguments, "--json"], **fields)

    def files(self, report):
        """The files of a run, on this machine."""
        client = self.store.client()
        for file in report["files"]:
            path = self.folder / file["key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(self.store.bucket, file["key"], str(path))
            yield path

    def parquet(self, source, **fields):
        """The rows of a run as a table, and what it printed."""
        printed = self.export(source, **fields).report()
        tables = [pq.read_table(path) for path in self.files(printed["report"])]
        return (pa.concat_tables(tables) if tables else None), printed

    def lines(self, source, **fields):
        """The same as text."""
        printed = self.export(source, file_format="JSONLines", **fields).report()
        return "".join(path.read_text() for path in self.files(printed["report"]))


def demand(holds, what):
    if not holds:
        raise AssertionError(what)


# -- every type


def types(scene):
    """Every type of the table of cases, in both formats."""
    count = max(len(case.values) for case in CASES)
    scene.engine.ask("SET allow_suspicious_low_cardinality_types = 1")
    columns = ", ".join(f"`{case.name}` {case.kind}" for case in CASES)
    scene.engine.ask(f"CREATE TABLE types (id UInt64, at DateTime, {columns}) ENGINE = MergeTree ORDER BY id")
    names = ", ".join(f"`{case.name}`" for case in CASES)
    for row in range(count):
        values = ", ".join(case.values[row % len(case.values)] for case in CASES)
        scene.engine.ask(f"INSERT INTO types (id, at, {names}) SELECT {row}, {rows.START_MICROS // 10**6}, {values}")
    source = scene.source(table="types", time_column="at", order_by=["id"])
    table, printed = scene.parquet(source)
    demand(table.num_rows == count, f"{table.num_rows} rows instead of {count}")
    told = scene.engine.rows(f"SELECT {', '.join(case.says for case in CASES)} FROM types ORDER BY id")
    wrong = []
    for at, case in enumerate(CASES):
        wanted = [None if row[at] is None else case.told(row[at]) for row in told]
        found = case.found(table[case.name])
        wrong += [
            f"{case.name} ({case.kind}), row {row}: {f!r:.80} instead of {w!r:.80}"
            for row, (w, f) in enumerate(zip(wanted, found))
            if f != w
        ]
    demand(not wrong, "; ".join(wrong))
    repaired = sum(
        "\ufffd" in value
        for case in CASES
        for value in (table[case.name].to_pylist() if pa.types.is_string(table[case.name].type) else [])
        if value is not None
    )
    said = [warning for warning in map(str, printed["warnings"]) if f"{repaired} texts of ClickHouse" in warning]
    demand(said, f"{repaired} texts were repaired, but the warnings are {printed['warnings']}")
    kept = stored(table.select(["id", "at", *(case.name for case in CASES if case.is_in_json)]))
    text = scene.lines(source)
    compare.json_lines(kept, only(text, kept.column_names))
    return f"{len(CASES)} types, {count} rows each"


def stored(table):
    """The same with UUIDs as the bytes that they are, marked as what they are."""
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns):
        if isinstance(field.type, pa.BaseExtensionType):
            mark = {"ARROW:extension:name": field.type.extension_name}
            field = pa.field(field.name, field.type.storage_type, metadata=mark)
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type)
        fields.append(field)
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def only(text, names):
    """Lines with these members alone, each as it was written."""
    kept = []
    for line in text.splitlines():
        kind, pairs = compare.json_value(line)
        demand(kind == "object", line)
        kept.append(json.dumps({}) if not pairs else written(("object", [pair for pair in pairs if pair[0] in names])))
    return "".join(f"{line}\n" for line in kept)


def written(value):
    if isinstance(value, compare.Number):
        return str(value)
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(name)}: {written(item)}" for name, item in value[1]) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def refused_types(scene):
    """Columns that cannot be exported are named, all of them, with what to do."""
    scene.engine.ask(
        "CREATE TABLE odd (at DateTime, a AggregateFunction(sum, UInt64), v Variant(String, UInt8), d Dynamic, "
        "q QBit(Float32, 2)) ENGINE = Memory"
    )
    outcome = scene.export(scene.source(table="odd", time_column="at"))
    named = [f"column `{name}`" for name in "avdq"]
    outcome.refused(1, "its type AggregateFunction cannot be exported", *named, "finalizeAggregation(column)")
    return "4 types"


# -- many rows


def a_million_rows(scene):
    """Every value of a million events, in order, in bounded memory."""
    scene.engine.ask(
        "CREATE TABLE events (uuid UUID, event LowCardinality(String), distinct_id String, person_id UUID, properties "
        "JSON, person_properties Nullable(String), elements_chain String, timestamp DateTime64(6), created_at DateTime, "
        "_inserted_at DateTime64(3), n Int64) ENGINE = MergeTree ORDER BY (_inserted_at, uuid)"
    )
    names = ", ".join(f"'{sql_text(event)}'" for event in EVENTS)
    start = rows.START_MICROS // 1_000
    # Two hours, one before and one in the interval, and times that several rows share.
    scene.engine.ask(
        "INSERT INTO events SELECT reinterpretAsUUID(sipHash128(number)), "
        f"[{names}][1 + number % {len(EVENTS)}], toString(cityHash64(number) % 50000), reinterpretAsUUID(sipHash128(number % 9)), "
        "'{\"$browser\": \"Firefox\", \"n\": ' || toString(number) || '}', if(number % 3 = 0, NULL, '{\"plan\": \"a\"}'), "
        "repeat('a', number % 20), fromUnixTimestamp64Micro(toInt64(1690502400000000 + number)), 1690502400, "
        f"fromUnixTimestamp64Milli(toInt64({start} + intDiv(number, 3) * 10 % 3600000 - if(number >= {MILLION}, 3600000, 0))), "
        f"number FROM numbers({MILLION + 1000})"
    )
    source = scene.source(table="events", time_column="_inserted_at")
    scene.peak_kib = 0
    begun = time.monotonic()
    table, printed = scene.parquet(source, model="events")
    seconds = time.monotonic() - begun
    peak_mib = scene.peak_kib / 1024
    demand(table.num_rows == MILLION, f"{table.num_rows} rows")
    ask = (
        "SELECT toString(uuid) AS uuid, toString(event) AS event, distinct_id, toString(person_id) AS person_id, "
        "toString(properties) AS properties, person_properties, elements_chain, toUnixTimestamp64Micro(timestamp) AS "
        "timestamp, toInt64(toUnixTimestamp(created_at)) * 1000000 AS created_at, toUnixTimestamp64Milli(_inserted_at) * "
        f"1000 AS _inserted_at, n FROM events WHERE n < {MILLION} ORDER BY _inserted_at, events.uuid"
    )
    answer = scene.engine.ask(ask, "ArrowStream")
    wanted = pa.ipc.open_stream(answer).read_all()
    for name in wanted.column_names:
        found = table[name]
        if pa.types.is_timestamp(found.type):
            found = found.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        if not found.combine_chunks().cast(wanted[name].type).equals(wanted[name].combine_chunks()):
            raise AssertionError(f"column {name} differs")
    demand(peak_mib < MEMORY_MIB, f"the program took {peak_mib:.0f} MiB")
    lines = scene.lines(source, model="events")
    uuids = [json.loads(line)["uuid"] for line in lines.splitlines()]
    demand(uuids == wanted["uuid"].to_pylist(), "JSON Lines has other rows or another order")
    return f"{seconds:.0f} s, {MILLION / seconds:,.0f} rows/s, {peak_mib:.0f} MiB"


def sql_text(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


def event_lists(scene):
    """Lists are part of the statement, and lose nothing that they should keep."""
    source = scene.source(table="events", time_column="_inserted_at")
    for lists in [{"include_events": EVENTS[1:3]}, {"exclude_events": [EVENTS[1], "no such event"]}, {"include_events": ["none"]}]:
        table, _ = scene.parquet(source, model="events", **lists)
        kept = [event for event in EVENTS if event in lists.get("include_events", EVENTS) and event not in lists.get("exclude_events", [])]
        found = [] if table is None else table["event"].unique().to_pylist()
        demand(sorted(found) == sorted(kept), f"{lists}: {found}")
        number = 0 if table is None else table.num_rows
        demand(number == MILLION // len(EVENTS) * len(kept), f"{lists}: {number} rows")
    sent = [sql for sql, _ in scene.server.seen if "FORMAT ArrowStream" in sql][-1]
    demand("IN ('none')" in sent, sent)
    return "3 lists"


def intervals(scene):
    """Adjacent intervals have every row once, by each type of time; the primary key is used."""
    for kind in ["DateTime", "DateTime('Asia/Tokyo')", "DateTime64(3)", "Nullable(DateTime64(9))", "Date", "Date32"]:
        scene.engine.ask("DROP TABLE IF EXISTS times")
        step = 86_400 if kind.startswith("Date") and "Time" not in kind else 599
        scene.engine.ask(
            f"CREATE TABLE times (id UInt64, at {kind}) ENGINE = MergeTree ORDER BY at SETTINGS index_granularity = 1, "
            f"allow_nullable_key = 1"
        )
        scene.engine.ask(f"INSERT INTO times SELECT number, toDateTime(1690502400 + number * {step}, 'UTC') FROM numbers(6)")
        found = []
        ends = [f"2023-07-{day}T{clock}Z" for day in [28, 29] for clock in ["00:00:00", "00:09:59.5", "12:00:00"]]
        ends += ["2023-08-03T00:00:00Z"]
        for start, end in zip(ends, ends[1:]):
            table, _ = scene.parquet(scene.source(table="times", time_column="at"), arguments=["--start", start, "--end", end])
            found += [] if table is None else table["id"].to_pylist()
        demand(found == list(range(6)), f"{kind}: {found}")
    return "6 types of time"


def queries(scene):
    """A query with its bounds, aggregated, in the order that is asked for."""
    query = (
        "SELECT event AS `the `` event`, count() AS c0, max(n) AS n -- all of them; {x}\nFROM events\nWHERE _inserted_at >= "
        "{data_interval_start} AND _inserted_at < {data_interval_end} # by event\nGROUP BY event;"
    )
    table, printed = scene.parquet(scene.source(query=query, order_by=["n"]))
    demand(table.column_names == ["the ` event", "c0", "n"], str(table.column_names))
    demand(table["n"].to_pylist() == sorted(table["n"].to_pylist()), "another order")
    demand(table["c0"].to_pylist() == [MILLION // len(EVENTS)] * len(EVENTS), str(table["c0"]))
    demand(not any("order" in str(warning) for warning in printed["warnings"]), str(printed["warnings"]))
    _, printed = scene.parquet(scene.source(query=query))
    demand(any("order" in str(warning) for warning in printed["warnings"]), str(printed["warnings"]))
    return "2 queries"


def no_rows(scene):
    """A table without rows succeeds and writes nothing."""
    scene.engine.ask("CREATE TABLE empty (id UInt64, at DateTime, s String) ENGINE = MergeTree ORDER BY at")
    table, _ = scene.parquet(scene.source(table="empty", time_column="at"))
    demand(table is None, "there are files")
    return "no file"


def readonly(scene):
    """A user who may change nothing is sent no setting; what is not UTF-8 is refused rather than changed."""
    source = scene.source(READER, table="events", time_column="_inserted_at")
    before = len(scene.server.seen)
    table, _ = scene.parquet(source, model="events", include_events=[EVENTS[0]])
    demand(table.num_rows == MILLION // len(EVENTS), f"{table.num_rows} rows")
    sent = {name for _, parameters in scene.server.seen[before:] for name in parameters}
    demand(sent == {"query_id", "wait_end_of_query"}, str(sent))
    scene.engine.ask("CREATE TABLE bytes (at DateTime, s String) ENGINE = Memory")
    scene.engine.ask("INSERT INTO bytes SELECT 1690502400, unhex('ff')")
    outcome = scene.export(scene.source(READER, table="bytes", time_column="at"))
    outcome.refused(1, "not valid utf-8", "tovalidutf8")
    return "readonly = 1"


def mistakes(scene):
    """One clear message each, nothing written."""
    interval = "WHERE at >= {data_interval_start} AND at < {data_interval_end}"
    objects = scene.store.client().list_objects_v2(Bucket=scene.store.bucket)["KeyCount"]
    for source, words in [
        (scene.source(query=f"SELECT id,\n  at FRM times {interval}"), ["syntax error", "  |   at FRM times", "correct the source's `query`"]),
        (scene.source(query=f"SELECT nope FROM times {interval}"), ["nope", "UNKNOWN_IDENTIFIER"]),
        (scene.source(query=f"SELECT id AS a, at AS a FROM times {interval}"), ["MULTIPLE_EXPRESSIONS_FOR_ALIAS"]),
        (scene.source(table="nope", time_column="at"), ["nope", "UNKNOWN_TABLE", "correct the source's `table`"]),
        (scene.source(table="types", time_column="s"), ["the time column `s` is", "expected a timestamp", "`dt`"]),
        (scene.source(table="types", time_column="nope"), ["the time column `nope` is missing"]),
        (scene.source(("exporter", "wrong"), table="types", time_column="at"), ["AUTHENTICATION_FAILED", "`user` and `password`"]),
        (scene.source(table="types", time_column="at", settings={"max_thread": "1"}), ["it has no setting `max_thread`"]),
        (scene.source(table="types", time_column="at", order_by=["idd"]), ["order_by names `idd`"]),
        (scene.source(query=f"SELECT throwIf(id = 3, 'boom') AS t FROM times {interval.replace('at >= {data_interval_start} AND', 'toDateTime(at) >= {data_interval_start} - INTERVAL 1 YEAR AND') .replace('{data_interval_end}', '{data_interval_end} + INTERVAL 1 YEAR')}"), ["boom"]),
    ]:
        outcome = scene.export(source)
        outcome.refused(1, *words)
        demand(WRITER[1] not in outcome.stderr and "wrong" not in outcome.stderr, outcome.stderr)
    outcome = scene.export(scene.source(table="types", time_column="at") | {"url": "http://127.0.0.1:1"})
    outcome.refused(3, "nothing listens there")
    after = scene.store.client().list_objects_v2(Bucket=scene.store.bucket)["KeyCount"]
    demand(objects == after, "something was written")
    return "11 mistakes"


def looks(scene):
    """`plan` shows the columns of the source without asking for a row."""
    before = len(scene.server.seen)
    outcome = scene.start("schema", scene.source(table="types", time_column="at"))
    demand(outcome.code == 0 and "id16" in outcome.stdout, outcome.stdout + outcome.stderr)
    demand(not any("FORMAT ArrowStream" in sql for sql, _ in scene.server.seen[before:]), "rows were asked for")
    return "columns"


def order_cost(scene):
    """What an order costs, where it is the table's own and where it is not."""
    measured = {}
    for name, order in [("none", []), ("the table's", ["_inserted_at", "uuid"]), ("another", ["distinct_id", "uuid"])]:
        begun = time.monotonic()
        scene.export(scene.source(table="events", time_column="_inserted_at", order_by=order), model="events").report()
        measured[name] = time.monotonic() - begun
    return ", ".join(f"{name} {seconds / measured['none']:.2f}" for name, seconds in measured.items())


CHECKS = [types, refused_types, a_million_rows, event_lists, queries, readonly, intervals, no_rows, mistakes, looks]
# Measurements, for which somebody has to ask by name; the first makes the rows.
MEASURED = [order_cost]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--only", default="", help="only checks whose names hold this text")
    arguments.add_argument("--json", action="store_true", help="print the result as JSON")
    given = arguments.parse_args()
    leave_nothing_behind()
    os.environ["TZ"] = "Asia/Kolkata"
    time.tzset()
    begun = time.monotonic()
    program = Program(given.program, given.component, given.folder / "runs", given.state)
    engine = Engine()
    results = []
    with Devstore(given.devstore, given.folder / "store") as store, Server(engine) as server:
        scene = Scene(program, store, engine, server, given.folder / "objects")
        asked = [check for check in CHECKS if given.only in check.__name__]
        if any(check.__name__ == given.only for check in MEASURED):
            asked = [a_million_rows, *MEASURED]
        for check in asked:
            print(f"checking {check.__name__}", file=sys.stderr, flush=True)
            try:
                results.append((check.__name__, True, check(scene)))
            except Exception as error:  # whatever is wrong is told with the others
                results.append((check.__name__, False, f"{type(error).__name__}: {error}"))
    failed = [name for name, passed, _ in results if not passed]
    if given.json:
        listed = [{"check": name, "passed": passed, "said": said} for name, passed, said in results]
        print(json.dumps({"checks": listed, "failed": failed}, indent=2, ensure_ascii=False))
    else:
        for name, passed, said in results:
            print(matrix.paragraph(f"{'passed' if passed else 'FAILED'} {name}: {said}"))
        verdict = f"{len(failed)} FAILED" if failed else "all passed"
        version = engine.rows("SELECT version()")[0][0]
        print(f"ClickHouse {version}: {len(results)} checks, {time.monotonic() - begun:.0f} s; {verdict}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
