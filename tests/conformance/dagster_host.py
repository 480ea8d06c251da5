"""Dagster with its daemon, which starts a worker for each run. Looks into its databases, which are SQLite here. Only the
delays are shorter than usual."""

import contextlib
import datetime
import json
import shutil
import sqlite3

from scene import Servers, until

JOB = "export"
FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)


class Dagster:
    """Hours are launched one by one, as the schedule does."""

    word = "dagster"
    # The process of a run.
    WORKERS = 1

    def __init__(self, python, example, scene):
        self.dagster = python.with_name("dagster")
        self.daemon = python.with_name("dagster-daemon")
        self.code = example / "batch_export_hourly.py"
        self.folder = scene.folder / "dagster"
        self.folder.mkdir()
        settings = (example / "dagster.yaml").read_text()
        (self.folder / "dagster.yaml").write_text(settings + "telemetry:\n  enabled: false\n")
        environment = {
            "DAGSTER_HOME": str(self.folder),
            "BATCH_EXPORT_RETRY_DELAY_S": "3",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }
        self.failed = []
        self.servers = Servers(self.folder, scene.environment() | environment)
        self.next = FIRST

    def __enter__(self):
        # Makes the databases, before two make them at once.
        self.servers.call(self.dagster, "instance", "info")
        self.servers.start("daemon", self.daemon, "run", "--python-file", self.code)
        return self

    def __exit__(self, *_):
        self.servers.stop()

    def begin(self):
        hour, self.next = self.next, self.next + HOUR
        tags = json.dumps({"dagster/partition": partition(hour)})
        self.servers.call(self.dagster, "job", "launch", "--python-file", self.code, "--job", JOB, "--tags", tags)
        return hour

    def rest(self):
        """Nothing is launched by itself."""

    def _rows(self, file, query, *values):
        self.servers.assert_running()
        database = f"file:{self.folder}/history/{file}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=30)) as found:
            return found.execute(query, values).fetchall()

    def _runs(self, hour):
        """Id and state of the hour's runs: more than one if workers were lost."""
        return self._rows("runs.db", "select run_id, status from runs where partition = ? order by id", partition(hour))

    def _count(self, run, *kinds):
        """Events of a run."""
        marks = ", ".join("?" * len(kinds))
        query = f"select count(*) from event_logs where dagster_event_type in ({marks})"
        ((count,),) = self._rows(f"runs/{run}.db", query, *kinds)
        return count

    def wait(self, hour, wanted):
        def reached():
            run, status = self._runs(hour)[-1]
            if status not in {"STARTED", "SUCCESS", "FAILURE"}:
                return False
            # A run that fails without its step failing has lost its worker, and another follows.
            failed = status == "FAILURE" and self._count(run, "STEP_FAILURE") > 0
            state = "failed" if failed else "success" if status == "SUCCESS" else None
            if state and state != wanted:
                raise AssertionError(f"{hour}: {state} after {self.attempts(hour)} attempts; logs are in {self.folder}")
            return state == wanted or (wanted == "waiting" and self._count(run, "STEP_UP_FOR_RETRY") > 0)

        until(f"{hour}: {wanted}", reached)

    def attempts(self, hour):
        return sum(self._count(run, "STEP_START", "STEP_RESTARTED") for run, _ in self._runs(hour))

    def told(self, hour):
        """The events of the hour's runs."""
        events = []
        for run, _ in self._runs(hour):
            events += self._rows(f"runs/{run}.db", "select event from event_logs")
        return "".join(event for (event,) in events)


def partition(hour):
    return hour.strftime("%Y-%m-%d-%H:%M")
