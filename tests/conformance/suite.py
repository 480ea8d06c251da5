"""Runs every feature against real servers and prints a table of feature and store, then what each feature verified. An
unexpected failure, or a known limitation that no longer holds, fails the run."""

import argparse
import sys
import time
from pathlib import Path

import matrix
from failures import FAILURES
from features import OBJECTS, NotHere
from limitations import LIMITATIONS
from program import Program
from servers import Ceph, Garage, SeaweedFS
from stage import Stage
from stores import Devstore, leave_nothing_behind

FEATURES = OBJECTS | FAILURES


def judge(stage, name):
    """The word for the table, and what was seen."""
    reason, words = LIMITATIONS.get(stage.store.name, {}).get(name, (None, None))
    try:
        seen = FEATURES[name](stage)
    except NotHere as error:
        return "not supported", str(error)
    except Exception as error:  # whatever goes wrong in a feature is its failure, with its words
        text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return ("not supported", reason) if reason and words in text else ("FAILED", text)
    if reason:
        return "FAILED", f"works ({seen}), though limitations.py says: {reason}"
    return "verified", seen


def stores(given):
    known = {
        "devstore": lambda: Devstore(given.devstore, given.folder / "devstore"),
        "seaweedfs": lambda: SeaweedFS(given.seaweedfs, given.folder / "seaweedfs"),
        "ceph": lambda: Ceph(given.folder / "ceph"),
        "garage": lambda: Garage(given.garage, given.folder / "garage"),
    }
    return [known[name] for name in given.stores]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    for name in ["seaweedfs", "garage"]:
        arguments.add_argument(f"--{name}", type=Path, help="its executable")
    arguments.add_argument("--only", default="", help="only features whose names hold this text")
    arguments.add_argument("stores", nargs="+", choices=["devstore", "seaweedfs", "ceph", "garage"])
    given = arguments.parse_args()
    leave_nothing_behind()
    names = [name for name in FEATURES if given.only in name]
    words, seen, columns = {name: {} for name in names}, [], []
    with Devstore(given.devstore, given.folder / "reference") as reference:
        for make in stores(given):
            begun = time.monotonic()
            with make() as store:
                columns.append(store.name)
                folder = given.folder / f"{store.word}-runs"
                program = Program(given.program, given.component, folder, given.state)
                stage = Stage(program, store, reference)
                for name in names:
                    since = time.monotonic()
                    word, text = judge(stage, name)
                    words[name][store.name] = word
                    seen.append((store.name, name, word, text))
                    took = time.monotonic() - since
                    print(f"{store.name}: {name}: {word} ({took:.1f} s): {text}", file=sys.stderr, flush=True)
            print(f"{store.name}: all in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(matrix.table("feature", columns, words) + "\n")
    for store, name, word, text in seen:
        print(f"{store}, {name}: {word}: {text}")
    return 1 if any(word == "FAILED" for _, _, word, _ in seen) else 0


if __name__ == "__main__":
    sys.exit(main())
