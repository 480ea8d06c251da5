"""Queries in turn, each with its time and its answer, printed as JSON. Knows nothing of readers."""

import json
import time


def report(queries):
    """Run each query; what it answers must be the same for every file that holds the same rows."""
    measured = {}
    for name, query in queries.items():
        begun = time.perf_counter()
        answer = query()
        measured[name] = {"seconds": time.perf_counter() - begun, "answer": answer}
    print(json.dumps(measured))
