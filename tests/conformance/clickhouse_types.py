"""Every type of ClickHouse that can be exported, with values that are legal and hurt: what the engine says they are, and
what a file should hold. Knows no file."""

import decimal
import json
import struct

import pyarrow as pa

# Nanoseconds in the units of Arrow.
UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


class Case:
    """A column: its type, its values as SQL, the expression whose text says what a value is, and how to read that text
    and the value of a file as the same thing."""

    def __init__(self, name, kind, values, says, told, found, is_in_json=True):
        self.name = name
        self.kind = kind
        self.values = values
        self.says = says.format(f"`{name}`")
        self.told = told
        self.found = found
        # Whether `compare.json_cells` knows how JSON Lines writes it.
        self.is_in_json = is_in_json


def plain(column):
    return column.to_pylist()


def numbers(name, kind, *values):
    return Case(name, kind, values, "toString({})", int, plain)


def texts(name, kind, *values):
    """By their text in SQL."""
    return Case(name, kind, values, "toString({})", str, plain)


def byte_texts(name, kind, *values):
    """By their bytes; what is not UTF-8 is repaired."""
    repaired = lambda told: bytes.fromhex(told).decode("utf-8", "replace")  # noqa: E731
    return Case(name, kind, values, "hex({})", repaired, plain)


def floats(name, kind, *values):
    """By their bits as doubles."""

    def bits(column):
        pack = lambda value: struct.unpack("<Q", struct.pack("<d", value))[0]  # noqa: E731
        return [None if value is None else pack(value) for value in column.to_pylist()]

    return Case(name, kind, values, "toString(reinterpretAsUInt64(toFloat64({})))", int, bits, is_in_json=False)


def decimals(name, kind, *values):
    return Case(name, kind, values, "toString({})", decimal.Decimal, plain)


def dates(name, kind, *values):
    found = lambda column: [value and value.isoformat() for value in column.to_pylist()]  # noqa: E731
    return Case(name, kind, values, "toString({})", str, found)


def nanos(column):
    unit = UNITS[column.type.unit]
    return [None if value is None else value * unit for value in column.cast(pa.int64()).to_pylist()]


def seconds(name, kind, *values):
    told = lambda text: int(text) * UNITS["s"]  # noqa: E731
    return Case(name, kind, values, "toString(toUnixTimestamp({}))", told, nanos)


def times(name, kind, digits, *values):
    """By their ticks, which the engine gives as they are stored; files hold microseconds."""
    told = lambda text: int(text) * 10 ** (9 - digits) // UNITS["us"] * UNITS["us"]  # noqa: E731
    return Case(name, kind, values, "toString(reinterpretAsInt64({}))", told, nanos)


def structures(name, kind, *values, says="toJSONString({})", is_in_json=True):
    """By their JSON, in which the members of unnamed tuples have no names."""

    def plain_json(value):
        if isinstance(value, dict) and list(value) == [str(at + 1) for at in range(len(value))]:
            return [plain_json(item) for item in value.values()]
        if isinstance(value, dict):
            return {name: plain_json(item) for name, item in value.items()}
        if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
            return {str(key): plain_json(item) for key, item in value}
        if isinstance(value, list):
            return [plain_json(item) for item in value]
        if isinstance(value, bytes):
            return value.hex()
        return value if value is None or isinstance(value, (bool, int, float)) else str(value)

    found = lambda column: [plain_json(value) for value in column.to_pylist()]  # noqa: E731
    return Case(name, kind, values, says, json.loads, found, is_in_json)


BIG = "'1' || repeat('0', 38)"

CASES = [
    numbers("i8", "Int8", "-128", "127", "0"),
    numbers("i16", "Int16", "-32768", "32767"),
    numbers("i32", "Int32", "-2147483648", "2147483647"),
    numbers("i64", "Int64", "toInt64('-9223372036854775808')", "9223372036854775807"),
    numbers("u8", "UInt8", "0", "255"),
    numbers("u16", "UInt16", "65535"),
    numbers("u32", "UInt32", "4294967295"),
    numbers("u64", "UInt64", "18446744073709551615", "0"),
    numbers("n64", "Nullable(Int64)", "NULL", "7", "-1"),
    numbers("simple", "SimpleAggregateFunction(sum, UInt64)", "7", "0"),
    texts("i128", "Int128", "toInt128('-170141183460469231731687303715884105728')", "5"),
    texts("u128", "UInt128", "toUInt128('340282366920938463463374607431768211455')"),
    texts("i256", "Int256", "-toInt256('57896044618658097711785492504343953926634992332820282019728792003956564819967')"),
    texts("u256", "Nullable(UInt256)", f"toUInt256({BIG})", "NULL"),
    floats("f32", "Float32", "1.5", "-0.0", "3.4028234663852886e38", "1e-45", "nan", "inf", "-inf"),
    floats("f64", "Nullable(Float64)", "0.1", "-0.0", "1.7976931348623157e308", "5e-324", "nan", "NULL"),
    floats("bf16", "BFloat16", "1.5", "0.1"),
    Case("b", "Nullable(Bool)", ["true", "false", "NULL"], "toString({})", lambda text: text == "true", plain),
    decimals("d9", "Decimal(9, 2)", "-9999999.99", "0.01", "0"),
    decimals("d18", "Decimal(18, 18)", "toDecimal64('-0.999999999999999999', 18)"),
    decimals("d38", "Nullable(Decimal(38, 10))", "toDecimal128('9999999999999999999999999999.0123456789', 10)", "NULL"),
    decimals("d76", "Decimal(76, 0)", "toDecimal256(repeat('9', 76), 0)", "toDecimal256('-1', 0)"),
    dates("day", "Date", "'1970-01-01'", "'2149-06-06'", "'2024-02-29'"),
    dates("day32", "Nullable(Date32)", "'1900-01-01'", "'2299-12-31'", "NULL"),
    dates("lowday", "LowCardinality(Date)", "'2024-02-29'"),
    seconds("dt", "DateTime", "0", "4294967295", "1690502400"),
    # The hour that there is twice.
    seconds("dtz", "Nullable(DateTime('Europe/Berlin'))", "1698537600", "1698541200", "NULL"),
    times("t0", "DateTime64(0, 'Asia/Tokyo')", 0, "toDateTime64('1900-01-01 00:00:00', 0, 'UTC')"),
    times("t1", "DateTime64(1)", 1, "toDateTime64('2023-07-28 00:00:00.1', 1, 'UTC')"),
    times("t3", "Nullable(DateTime64(3, 'America/New_York'))", 3, "toDateTime64('1969-12-31 23:59:59.999', 3, 'UTC')", "NULL"),
    times("t6", "DateTime64(6)", 6, "toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')"),
    times("t7", "DateTime64(7)", 7, "toDateTime64('1900-01-01 00:00:00.1234567', 7, 'UTC')"),
    times("t9", "DateTime64(9)", 9, "toDateTime64('2262-04-11 23:47:16.854775807', 9, 'UTC')"),
    texts("clock", "Time", "'-999:59:59'", "'23:59:59'"),
    texts("clock64", "Time64(3)", "'100:00:00.001'"),
    byte_texts("s", "String", "''", "'a\\0b'", "'日本語 😀'", "'\\'\"\\\\\\n'", "unhex('ff')", "unhex('61c328')", "unhex('e282')"),
    byte_texts("ns", "Nullable(String)", "NULL", "'x'", "unhex('f09f98')"),
    byte_texts("ls", "LowCardinality(String)", "'x'", "'y'", "unhex('80')"),
    byte_texts("lns", "LowCardinality(Nullable(String))", "NULL", "'y'"),
    byte_texts("fs", "FixedString(4)", "'ab'", "''", "unhex('00ff00ff')", "'abcd'"),
    byte_texts("nfs", "Nullable(FixedString(3))", "NULL", "'日'"),
    texts("e8", "Enum8('a' = -128, '' = 0, 'it''s, (odd)' = 1, 'é' = 127)", "'a'", "''", "'it\\'s, (odd)'", "'é'"),
    texts("e16", "Nullable(Enum16('x' = -32768, 'y' = 32767))", "'x'", "NULL", "'y'"),
    texts("ip4", "IPv4", "'0.0.0.0'", "'255.255.255.255'", "'10.1.2.3'"),
    texts("ip6", "Nullable(IPv6)", "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'", "NULL"),
    Case(
        "id16",
        "Nullable(UUID)",
        ["'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "NULL"],
        "toString({})",
        lambda text: text,
        lambda column: [value and str(value) for value in column.to_pylist()],
    ),
    texts("j", "JSON", """'{"a": {"b": [1, "x", null]}, "n": 18446744073709551615, "t": "é"}'""", "'{}'"),
    structures("arr", "Array(Int64)", "[]", "[1, -2]"),
    structures("arrn", "Array(Nullable(String))", "[NULL, 'x', '']", "[]"),
    structures("deep", "Array(Array(LowCardinality(String)))", "[[], ['a', 'b']]", "[]"),
    structures("enums", "Array(Enum8('a' = 1, 'b' = 2))", "['a', 'b']"),
    structures("addresses", "Array(IPv4)", "['1.2.3.4']", "[]"),
    structures("tup", "Tuple(UInt8, Nullable(String))", "(1, NULL)", "(2, 'x')"),
    structures("named", "Tuple(`a b` Int32, `c``d` Tuple(e FixedString(2)))", "(1, tuple('xy'))"),
    structures("map", "Map(String, Array(Int32))", "map('a', [1, 2], 'b', [])"),
    structures("lowmap", "Map(LowCardinality(String), Nullable(IPv6))", "map('k', '::1', 'l', NULL)"),
    structures("nested", "Array(Tuple(x Int32, y Array(String)))", "[(1, ['a']), (2, [])]"),
    structures("point", "Point", "(1.5, -2)"),
    structures("ring", "Ring", "[(0, 0), (1, 0.5)]"),
    structures("polygon", "Polygon", "[[(0, 0), (1, 1)], []]"),
    structures("jsons", "Array(JSON)", """['{"a": 1}']""", says="toJSONString(arrayMap(x -> toString(x), {}))", is_in_json=False),
    structures("uuids", "Array(UUID)", "['00112233-4455-6677-8899-aabbccddeeff']", is_in_json=False),
    structures(
        "inner",
        "Tuple(t DateTime('Asia/Tokyo'), d Nullable(Decimal(9, 2)))",
        "(1690502400, 1.25)",
        says="toJSONString(CAST((toString({0}.1, 'UTC') || '+00:00', toString({0}.2)) AS Tuple(t String, d Nullable(String))))",
        is_in_json=False,
    ),
]
