"""Compares what a reader made of a file with the source's rows, value by value. Knows no reader by name."""

import base64
import datetime
import decimal
import json
import math
import uuid

import pyarrow as pa
import pyarrow.compute as pc

EPOCH = datetime.date(1970, 1, 1).toordinal()


class Difference(AssertionError):
    """A reader read something else than the source supplied."""


def plain_type(kind):
    """The type that represents all variants of the same values."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_decimal(kind):
        return pa.decimal256(76, kind.scale)
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_time(kind):
        return pa.time64("us")
    return kind


def comparable(column, kind=None):
    """A column in the plain type of `kind`, which must hold all its values; timestamps as the integers they are."""
    kind = plain_type(kind or column.type)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16 and pa.types.is_string(plain_type(column.type)):
        # A reader's own type for UUIDs, shown as text.
        column = pa.array([None if text is None else uuid.UUID(text).bytes for text in column.to_pylist()], kind)
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_timestamp(kind):
        # Sub-microsecond units are not used here, so nothing is lost.
        return pc.cast(pc.cast(column, kind), pa.int64())
    return pc.cast(column, kind)


def tables(expected, read, null_is_empty=False):
    """Raise unless both hold the same columns and rows. With `null_is_empty`, a null list, struct or map may come as one
    without values: some readers have no such nulls."""
    if read.num_rows != expected.num_rows:
        raise Difference(f"{read.num_rows} rows instead of {expected.num_rows}")
    if read.column_names != expected.column_names:
        raise Difference(f"columns {read.column_names} instead of {expected.column_names}")
    for name in expected.column_names:
        left = comparable(expected[name])
        try:
            right = comparable(read[name], expected[name].type)
        except pa.ArrowInvalid as error:
            raise Difference(f"column {name} as {read[name].type}: {error}") from error
        if not left.equals(right):
            pairs = enumerate(zip(left.to_pylist(), right.to_pylist()))
            for row, (wanted, found) in pairs:
                if not (_same(wanted, found) or null_is_empty and _same(_emptied(wanted), _emptied(found))):
                    raise Difference(f"column {name}, row {row}: {found!r:.80} instead of {wanted!r:.80}")


def _emptied(value):
    """Lists, structs and maps with nulls and emptiness made one."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return value
    emptied = [_emptied(item) for item in value]
    return emptied if any(item is not None for item in emptied) else None


def _same(left, right):
    if isinstance(left, float) and isinstance(right, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return left == right


class Number(str):
    """A JSON number as its text: `1.10` is not `1.1`, and no digit of a long one is lost."""


class NotJson(ValueError):
    pass


def _refuse(word):
    raise NotJson(word)


def json_value(text):
    """A JSON text with its numbers and duplicate keys as they are; raw control characters are accepted."""
    return json.loads(
        text,
        strict=False,
        parse_int=Number,
        parse_float=Number,
        parse_constant=_refuse,
        object_pairs_hook=lambda pairs: ("object", pairs),
    )


def _without_lone_surrogates(value):
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, tuple):
        pairs = [(_without_lone_surrogates(k), _without_lone_surrogates(v)) for k, v in value[1]]
        return ("object", pairs)
    return value


def nested_json(text):
    """What a JSON column's text should be in a JSON Lines row."""
    try:
        return _without_lone_surrogates(json_value(text))
    except ValueError:
        return text


def iso(moment_micros):
    """A timestamp as JSON Lines writes it."""
    days, rest = divmod(moment_micros, 86_400_000_000)
    date = datetime.date.fromordinal(EPOCH + days).isoformat()
    seconds, fraction = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{date}T{clock}{f'.{fraction:06}' if fraction else ''}+00:00"


def json_cells(field, column):
    """A column's values as they should be in JSON Lines, parsed by `json_value`."""
    values = comparable(column, field.type).to_pylist()
    if (field.metadata or {}).get(b"ARROW:extension:name") == b"arrow.json":
        return [None if value is None else nested_json(value) for value in values]
    if (field.metadata or {}).get(b"ARROW:extension:name") == b"arrow.uuid":
        return [None if value is None else str(uuid.UUID(bytes=value)) for value in values]
    if pa.types.is_timestamp(field.type):
        return [None if value is None else iso(value) for value in values]
    return [_json_cell(plain_type(field.type), value) for value in values]


def _json_cell(kind, value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return ("float", value)
    if isinstance(value, decimal.Decimal):
        return Number(format(value, "f"))
    if isinstance(value, int):
        return Number(value)
    if isinstance(value, datetime.time):
        return value.isoformat("microseconds" if value.microsecond else "seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if pa.types.is_map(kind):
        return ("object", [(key, _json_cell(kind.item_type, item)) for key, item in value])
    if isinstance(value, dict):
        return ("object", [(f.name, _json_cell(f.type, value[f.name])) for f in kind])
    if isinstance(value, list):
        return [_json_cell(kind.value_type, item) for item in value]
    raise TypeError(f"{kind} has values that no JSON is known for")


def same_json(wanted, found, doubles=False):
    """Equal, floats by value, everything else to the letter; with `doubles`, all numbers as such."""
    if isinstance(wanted, tuple) and wanted[0] == "float":
        return isinstance(found, Number) and _same(wanted[1], float(found))
    if doubles and isinstance(wanted, Number) and isinstance(found, Number):
        return float(wanted) == float(found)
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(same_json(left, right, doubles) for left, right in zip(wanted, found))
        )
    if isinstance(wanted, tuple):
        return (
            isinstance(found, tuple)
            and [key for key, _ in wanted[1]] == [key for key, _ in found[1]]
            and all(same_json(left, right, doubles) for (_, left), (_, right) in zip(wanted[1], found[1]))
        )
    return type(wanted) is type(found) and wanted == found


def json_lines(expected, text):
    """Raise unless the text's rows are the table's."""
    if text and not text.endswith("\n"):
        raise Difference("the last row has no line end")
    lines = text.split("\n")[:-1]
    if len(lines) != expected.num_rows:
        raise Difference(f"{len(lines)} rows instead of {expected.num_rows}")
    columns = [json_cells(field, expected[field.name]) for field in expected.schema]
    for row, line in enumerate(lines):
        kind, pairs = json_value(line)
        if kind != "object" or [key for key, _ in pairs] != expected.column_names:
            raise Difference(f"row {row} has other columns: {line:.120}")
        for (name, found), column in zip(pairs, columns):
            if not same_json(column[row], found):
                raise Difference(f"column {name}, row {row}: {found!r:.80} instead of {column[row]!r:.80}")
