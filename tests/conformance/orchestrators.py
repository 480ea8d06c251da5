"""Runs `batch-export run` under Airflow and under Dagster, with the very files that docs/orchestrators.md shows, and has
them meet what happens to runs: a store that is away, credentials that are refused, a configuration that is wrong, a
worker that is lost. The files for systemd and Kubernetes are read and their lines are run. Installs nothing."""

import argparse
import sys
from pathlib import Path

import units
from airflow_host import Airflow
from dagster_host import Dagster
from scene import Scene
from stores import fresh, leave_nothing_behind

EXAMPLES = Path(__file__).with_name("orchestrators")


def expect(host, hour, attempts, code=None):
    """So many attempts, and an attempt that ended with this exit code."""
    found = host.attempts(hour)
    if found not in attempts:
        raise AssertionError(f"{hour}: {found} attempts, not {attempts}")
    if code is not None and f"batch-export ended with {code}:" not in host.told(hour):
        raise AssertionError(f"{hour}: no attempt ended with exit code {code}")


def success(host, scene):
    hour = host.begin()
    host.wait(hour, "success")
    expect(host, hour, [1])
    scene.prove(hour)
    return "an hour is exported at the first attempt, with the interval that the orchestrator gave"


def away(host, scene):
    """The store is away: exit code 3."""
    with scene.store_away():
        hour = host.begin()
        host.wait(hour, "waiting")
    host.wait(hour, "success")
    expect(host, hour, range(2, 20), code=3)
    scene.prove(hour)
    return "exit code 3 is tried again later, and succeeds when the store is back"


def refused(host, scene):
    """The store refuses: exit code 1."""
    with scene.configured(aws_secret_access_key="wrong"):
        hour = host.begin()
        host.wait(hour, "failed")
    expect(host, hour, [1], code=1)
    host.failed.append(hour)
    return "exit code 1 fails at once, without another attempt"


def invalid(host, scene):
    """The configuration is wrong: exit code 2."""
    with scene.configured(compression="zip"):
        hour = host.begin()
        host.wait(hour, "failed")
    expect(host, hour, [1], code=2)
    host.failed.append(hour)
    return "exit code 2 fails at once, without another attempt"


def interrupted(host, scene):
    """Only the program is told to end, as by a machine that shuts down: exit code 143."""
    with scene.configured(source=scene.MANY):
        hour = host.begin()
        program = scene.uploading(hour)
        program.terminate()
        host.wait(hour, "waiting")
        if left := scene.open_uploads():
            raise AssertionError(f"a run that was terminated left {left} open")
        host.wait(hour, "success")
    expect(host, hour, [2], code=143)
    scene.prove(hour, scene.MANY)
    return "exit code 143 is tried again, and no upload was left open"


def lost(host, scene):
    """The worker and the program are killed in the middle of an upload."""
    with scene.configured(source=scene.MANY):
        hour = host.begin()
        scene.uploading(hour).kill_with_workers(host.WORKERS)
        if not scene.open_uploads():
            raise AssertionError("the upload of the lost worker is not open")
        host.wait(hour, "success")
    expect(host, hour, [2])
    scene.prove(hour, scene.MANY)
    return "a worker that is killed is replaced: one export, and the upload that was left open is aborted"


CASES = [success, away, refused, invalid, interrupted, lost]


def try_host(kind, python, given):
    scene = Scene(given, fresh(given.folder / kind.word))
    with scene, kind(python, EXAMPLES / kind.word, scene) as host:
        for case in CASES:
            yield f"{kind.word}: {case(host, scene)}"
            host.rest()
        # Minutes have passed: what failed at once is still not tried again.
        for hour in host.failed:
            expect(host, hour, [1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ["program", "component", "devstore", "folder", "state", "airflow", "dagster"]:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--only", default="", help="units, airflow or dagster")
    given = arguments.parse_args()
    leave_nothing_behind()
    tried = {
        "units": lambda: units.check(EXAMPLES, given),
        "airflow": lambda: try_host(Airflow, given.airflow, given),
        "dagster": lambda: try_host(Dagster, given.dagster, given),
    }
    try:
        for name, lines in tried.items():
            if given.only in name:
                for line in lines():
                    print(line, flush=True)
    except AssertionError as error:
        sys.exit(f"orchestrators: {error}")


if __name__ == "__main__":
    main()
