"""Prints what was seen as tables and paragraphs that fit a terminal of 100 columns. Judges nothing."""

import textwrap

WIDTH = 100


def table(corner, columns, rows):
    """`rows` maps a row's name to its cells by column."""
    header = [corner, *columns]
    body = [[name, *(cells.get(column, "") for column in columns)] for name, cells in rows.items()]
    widths = [max(len(line[at]) for line in [header, *body]) for at in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in [header, *body]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def paragraph(text):
    """A text under its first line."""
    return textwrap.fill(text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
