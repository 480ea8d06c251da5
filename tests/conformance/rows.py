"""Source files for the conformance run: every model with rows that are legal and hurt. Deterministic; never reads
what was exported."""

import base64
import datetime
import decimal
import random
from pathlib import Path

import pyarrow as pa

# 2023-07-28T00:00Z: the interval of every run here begins there and lasts an hour.
START_MICROS = 1_690_502_400_000_000
START = "2023-07-28T00:00:00Z"
END = "2023-07-28T01:00:00Z"

# Enough incompressible text that every format and codec makes several files of 1 MiB.
FILLING_ROWS = 6_000
FILLING_BYTES = 600

UTC = pa.timestamp("us", "UTC")
JSON_MARK = {"ARROW:extension:name": "arrow.json", "ARROW:extension:metadata": ""}
UUID_MARK = {"ARROW:extension:name": "arrow.uuid", "ARROW:extension:metadata": ""}


def micros(text):
    """Microseconds since 1970 of an ISO time, exact also before 1970."""
    moment = datetime.datetime.fromisoformat(text)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


TEXTS = [
    None,
    "",
    " ",
    "null",
    '"quoted", with comma\\',
    "日本語 😀 e\u0301 \u2028 \ufeff",
    "".join(map(chr, range(1, 32))) + "\x7f",
    "\0",
    "line\nbreak\r\n",
    "x" * 70_000,
]
JSON_TEXTS = [
    None,
    "{}",
    "null",
    "[]",
    '"text"',
    "7",
    "",
    " ",
    "not json",
    '{"open":',
    '{"a":1}{"b":2}',
    '{"big":1234567890123456789012345678901234567890,"price":1.10,"exp":1e400,"minus":-0.0}',
    '{"a":1,"a":2,"b":{"a":3}}',
    '{"lone":"\\ud800","pair":"\\ud83d\\ude00","low":"\\udc00"}',
    '{"raw":"line\nbreak\ttab\u0001"}',
    '{\n  "pretty" : [ 1,\r\n 2 ]\n}',
    '{"nan":NaN}',
    '{"quote":"\\"","slash":"\\/","nul":"\\u0000","emoji":"😀"}',
    "[" * 200 + "1" + "]" * 200,
]
# Objects: ClickHouse reads a Parquet column of the logical type JSON into its own type for JSON, which has no others.
JSON_DOCUMENTS = ["{}", '{"a":1,"b":"😀"}', '{"c":{"d":[1,2]}}']
TIMES = [
    None,
    0,
    -1,
    -1_000_000,
    micros("0001-01-01T00:00:00+00:00"),
    micros("1582-10-15T12:00:00.000001+00:00"),
    micros("1969-12-31T23:59:59.999999+00:00"),
    micros("2024-02-29T23:59:59.500000+00:00"),
    micros("9999-12-31T23:59:59.999999+00:00"),
    START_MICROS + 123_456,
]
INTEGERS = [None, 0, -1, -(2**63), 2**63 - 1, 2**53 + 1, 7]
FLOATS = [None, 0.0, -0.0, 0.1, 1e-310, 1.7976931348623157e308, -2.5, 1 / 3]
BOOLEANS = [None, True, False]
LISTS = [None, [], [None], ["", None, "https://example.com/?q=ü"], ["😀"] * 3]

EVENTS = {
    "uuid": "text",
    "event": "text",
    "distinct_id": "text",
    "person_id": "text",
    "properties": "json",
    "person_properties": "json",
    "elements_chain": "text",
    "timestamp": "time",
    "created_at": "time",
    "_inserted_at": "arrival",
}
PERSONS = {
    "team_id": "integer",
    "distinct_id": "text",
    "person_id": "text",
    "properties": "json",
    "person_distinct_id_version": "integer",
    "person_version": "integer",
    "created_at": "time",
    "_inserted_at": "arrival",
    "is_deleted": "boolean",
}
_SESSION_TEXTS_BEFORE = ["session_id", "session_id_v7"]
_SESSION_TEXTS = (
    "entry_current_url entry_pathname entry_hostname entry_utm_source entry_utm_campaign entry_utm_medium "
    "entry_utm_term entry_utm_content entry_referring_domain entry_gclid entry_fbclid entry_gad_source channel_type "
    "last_external_click_url exit_current_url exit_pathname end_current_url end_pathname end_hostname entry_gclsrc "
    "entry_dclid entry_gbraid entry_wbraid entry_msclkid entry_twclid entry_li_fat_id entry_mc_cid entry_igshid "
    "entry_ttclid entry__kx entry_irclid"
).split()
_SESSION_INTEGERS = (
    "num_uniq_urls pageview_count autocapture_count screen_count session_duration duration "
    "page_screen_autocapture_count_up_to"
).split()

VALUES = {
    "text": (pa.string(), TEXTS),
    "json": (pa.string(), JSON_TEXTS),
    "time": (UTC, TIMES),
    "integer": (pa.int64(), INTEGERS),
    "float": (pa.float64(), FLOATS),
    "boolean": (pa.bool_(), BOOLEANS),
    "list": (pa.list_(pa.string()), LISTS),
}


def _dates():
    date = datetime.date
    return [None, date(1970, 1, 1), date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)]


def _decimals(digits, scale):
    largest = decimal.Decimal(10**digits - 1).scaleb(-scale, decimal.Context(prec=digits))
    small = decimal.Decimal(1).scaleb(-scale)
    return [None, decimal.Decimal(0).scaleb(-scale), largest, largest.copy_negate(), small]


def _many(of):
    """Values that have nothing in common: as ids, hashes and amounts are."""
    source = random.Random(200)
    return [None] + [of(source) for _ in range(200)]


def _types():
    """A model of our own: the Arrow types that the models do not have."""
    time = datetime.time
    cents = decimal.Context(prec=38)
    return {
        "int8": (pa.int8(), [None, -128, 127]),
        "int16": (pa.int16(), [None, -(2**15), 2**15 - 1]),
        "int32": (pa.int32(), [None, -(2**31), 2**31 - 1]),
        "uint8": (pa.uint8(), [None, 0, 255]),
        "uint16": (pa.uint16(), [None, 0, 2**16 - 1]),
        "uint32": (pa.uint32(), [None, 0, 2**32 - 1]),
        "uint64": (pa.uint64(), [None, 0, 2**64 - 1]),
        "float32": (pa.float32(), [None, 0.0, 1.5, -2.25]),
        "float64": (pa.float64(), FLOATS),
        "decimal9": (pa.decimal128(9, 2), _decimals(9, 2)),
        "decimal18": (pa.decimal128(18, 4), _decimals(18, 4)),
        "decimal38": (pa.decimal128(38, 10), _decimals(38, 10)),
        "decimals": (
            pa.decimal128(30, 2),
            _many(lambda source: decimal.Decimal(source.randrange(10**29)).scaleb(-2, cents)),
        ),
        "fixed": (pa.binary(20), _many(lambda source: source.randbytes(20))),
        "uuid": (pa.binary(16), _many(lambda source: source.randbytes(16))),
        "json": (pa.string(), [None, *JSON_DOCUMENTS]),
        "date": (pa.date32(), _dates()),
        "time_ms": (pa.time32("ms"), [None, time(0), time(23, 59, 59, 999_000), time(13, 30)]),
        "time_us": (pa.time64("us"), [None, time(0), time(23, 59, 59, 999_999), time(13, 30)]),
        "binary": (pa.binary(), [None, b"", b"\0\xff", bytes(range(256))]),
        "large_text": (pa.large_string(), TEXTS[:8]),
        "dictionary": (pa.dictionary(pa.int32(), pa.string()), [None, "red", "", "grün"]),
        "integers": (pa.list_(pa.int64()), [None, [], [1, None, -(2**63)]]),
        "nested": (pa.list_(pa.list_(pa.string())), [None, [], [[]], [["a", None], None]]),
        "struct": (
            pa.struct([("name", pa.string()), ("count", pa.int64())]),
            [None, {"name": "", "count": None}, {"name": "ü", "count": 2**62}],
        ),
        "map": (pa.map_(pa.string(), pa.int64()), [None, [], [("a", 1), ("b", None)]]),
        "seconds": (pa.timestamp("s"), [None, 0, -1, 1_690_502_400]),
    }


def _filling(row, random_source):
    raw = base64.b64encode(random_source.randbytes(FILLING_BYTES * 3 // 4)).decode()
    return f"{row:05d}-{raw}"


def _table(columns, filled):
    """Rows in which every value of every column occurs at least once, then filling; `_inserted_at` is in the hour."""
    random_source = random.Random(20230728)
    hard_rows = 2 * max(len(values) for _, values, _ in columns.values())
    count = hard_rows + FILLING_ROWS
    arrays, fields = [], []
    for name, (kind, values, mark) in columns.items():
        if name == "_inserted_at":
            cells = [START_MICROS + 500_001 * row for row in range(count)]
        else:
            # A null in every filling column would hide nothing; short values in turn keep the files small.
            short = [value for value in values if not isinstance(value, str) or len(value) < 100]
            cells = [values[row % len(values)] for row in range(hard_rows)]
            cells += [short[row % len(short)] for row in range(FILLING_ROWS)]
        if name == filled:
            cells[hard_rows:] = [_filling(row, random_source) for row in range(FILLING_ROWS)]
        arrays.append(pa.array(cells, kind))
        fields.append(pa.field(name, kind, metadata=mark))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _model(columns):
    described = {}
    for name, kind in columns.items():
        type_and_values = VALUES["time" if kind == "arrival" else kind]
        described[name] = (*type_and_values, JSON_MARK if kind == "json" else None)
    return described


def tables(session_columns):
    """Each model's table. The order of the sessions' columns is the program's own to say."""
    marks = {"uuid": UUID_MARK, "json": JSON_MARK}
    types = {name: (*described, marks.get(name)) for name, described in _types().items()}
    types["filling"] = (pa.string(), TEXTS, None)
    types["_inserted_at"] = (UTC, TIMES, None)
    kinds = dict.fromkeys(_SESSION_TEXTS_BEFORE + _SESSION_TEXTS, "text")
    kinds |= dict.fromkeys(_SESSION_INTEGERS, "integer")
    kinds |= {
        "team_id": "integer",
        "distinct_id": "text",
        "start_timestamp": "time",
        "end_timestamp": "time",
        "urls": "list",
        "is_bounce": "boolean",
        "vitals_lcp": "float",
        "_inserted_at": "arrival",
    }
    sessions = {name: kinds[name] for name in session_columns}
    return {
        "events": _table(_model(EVENTS), "elements_chain"),
        "persons": _table(_model(PERSONS), "person_id"),
        "sessions": _table(_model(sessions), "entry_current_url"),
        "types": _table(types, "filling"),
    }


def write(folder, session_columns):
    """Write each model's table as an Arrow file; returns the tables."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = tables(session_columns)
    for name, table in made.items():
        with pa.ipc.new_file(folder / f"{name}.arrow", table.schema) as writer:
            # Batches of odd sizes: the exported bytes must not depend on them.
            writer.write_table(table, max_chunksize=1_777)
    return made
