"""Runs SQL of its standard input in DuckDB, and writes the rows of the last statement as JSON, one a line."""

import json
import sys

import duckdb

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for row in connection.execute(sys.stdin.read()).fetchall():
    print(json.dumps(row))
