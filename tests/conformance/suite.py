"""Runs every feature against real servers and prints a table of feature and store, then what each feature verified. An
unexpected failure, or a known limitation that no longer holds, fails the run."""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import matrix
from failures import FAILURES
from features import OBJECTS, Absent, Untried
from limitations import LIMITATIONS
from program import Program
from servers import Ceph, Garage, SeaweedFS
from settings import SETTINGS
from stage import Stage
from stores import Devstore, leave_nothing_behind

FEATURES = OBJECTS | SETTINGS | FAILURES
FAILED = "FAILED"
# In the order in which they are told.
OUTCOMES = ["verified", "ignored", "unsupported", "untried", FAILED]


@dataclass
class Seen:
    """What became of one feature in one store."""

    store: str
    feature: str
    outcome: str
    text: str
    seconds: float


def judge(stage, name):
    """The word for the table, and what was seen."""
    word, reason, words = LIMITATIONS[stage.store.name].get(name, (None, None, None))
    try:
        text = FEATURES[name](stage)
    except Absent as error:
        return "unsupported", str(error)
    except Untried as error:
        return "untried", str(error)
    except Exception as error:  # whatever goes wrong in a feature is its failure, with its words
        text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return (word, reason) if word and words in text else (FAILED, text)
    if word:
        return FAILED, f"works ({text}), though limitations.py says: {reason}"
    return "verified", text


def stores(given):
    known = {
        "devstore": lambda: Devstore(given.devstore, given.folder / "devstore"),
        "seaweedfs": lambda: SeaweedFS(given.seaweedfs, given.folder / "seaweedfs"),
        "ceph": lambda: Ceph(given.folder / "ceph"),
        "garage": lambda: Garage(given.garage, given.folder / "garage"),
    }
    return [known[name] for name in given.stores]


def exercise(given, make, reference, names):
    """Every feature against one store."""
    with make() as store:
        begun = time.monotonic()
        folder = given.folder / f"{store.word}-runs"
        stage = Stage(Program(given.program, given.component, folder, given.state), store, reference)
        for at, name in enumerate(names, 1):
            since = time.monotonic()
            outcome, text = judge(stage, name)
            seconds = time.monotonic() - since
            line = f"{store.name} {at}/{len(names)} {name}: {outcome} ({seconds:.1f} s)"
            print(f"{line}: {text}" if outcome == FAILED else line, file=sys.stderr, flush=True)
            yield Seen(store.name, name, outcome, text, seconds)
        print(f"{store.name}: all in {time.monotonic() - begun:.0f} s", file=sys.stderr)


def document(seen):
    """The same for programs."""
    found = {}
    for each in seen:
        cell = {"outcome": each.outcome.lower(), "detail": each.text, "seconds": round(each.seconds, 1)}
        found.setdefault(each.store, {})[each.feature] = cell
    return json.dumps(found, indent=2, ensure_ascii=False)


def report(seen, names):
    """The table, what was seen for each cell, and a sentence a store on the result."""
    columns = list(dict.fromkeys(each.store for each in seen))
    words = {name: {} for name in names}
    for each in seen:
        words[each.feature][each.store] = each.outcome
    print(matrix.table("feature", columns, words))
    for store in columns:
        print(f"\n{store}")
        mine = [each for each in seen if each.store == store]
        for outcome in OUTCOMES:
            for each in mine:
                if each.outcome == outcome:
                    print(matrix.paragraph(f"  {outcome}: {each.feature}: {each.text}"))
    print()
    for store in columns:
        counts = Counter(each.outcome for each in seen if each.store == store)
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
        verdict = "NOT as it should be" if counts[FAILED] else "as known"
        print(f"{store}: {told} of {sum(counts.values())} features; {verdict}.")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    for name in ["seaweedfs", "garage"]:
        arguments.add_argument(f"--{name}", type=Path, help="its executable")
    arguments.add_argument("--only", default="", help="only features whose names hold this text")
    arguments.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments.add_argument("stores", nargs="+", choices=["devstore", "seaweedfs", "ceph", "garage"])
    given = arguments.parse_args()
    leave_nothing_behind()
    names = [name for name in FEATURES if given.only in name]
    if not names:
        arguments.error(f"no feature's name holds {given.only!r}")
    seen = []
    with Devstore(given.devstore, given.folder / f"reference-{'-'.join(given.stores)}") as reference:
        for make in stores(given):
            seen.extend(exercise(given, make, reference, names))
    if given.json:
        print(document(seen))
    else:
        report(seen, names)
    return 1 if any(each.outcome == FAILED for each in seen) else 0


if __name__ == "__main__":
    sys.exit(main())
