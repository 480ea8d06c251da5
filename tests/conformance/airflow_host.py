"""Airflow with its scheduler, the LocalExecutor and an API server on loopback. Looks into its database, which is SQLite
here. Only delays are shorter than usual: by its own settings, never by the DAG."""

import contextlib
import datetime
import sqlite3

from scene import Servers, until
from stores import free_ports

DAG = "batch_export_hourly"
SETTINGS = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "2",
    "CORE__DEFAULT_TASK_RETRY_DELAY": "3",
    # A lost worker is noticed after five minutes otherwise.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}
FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
TASKS = "from task_instance t join dag_run r using (dag_id, run_id) where t.dag_id = ?"
EXPORTS = f"{TASKS} and t.task_id = 'export'"


class Airflow:
    """Hours come one after the other, as the schedule makes up for the time since its start."""

    word = "airflow"
    # The process of a task and the one that watches over it.
    WORKERS = 2

    def __init__(self, python, example, scene):
        self.airflow = python.with_name("airflow")
        self.folder = scene.folder / "airflow"
        self.folder.mkdir()
        (self.port,) = free_ports(1)
        settings = SETTINGS | {
            "CORE__DAGS_FOLDER": str(example),
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
        }
        environment = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        environment |= {"AIRFLOW_HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.failed = []
        self.servers = Servers(self.folder, scene.environment() | environment)

    def __enter__(self):
        self.servers.call(self.airflow, "db", "migrate")
        try:
            self.servers.start(
                *("api-server", self.airflow, "api-server", "--apps", "execution", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", self.port),
            )
            self.servers.start("dag-processor", self.airflow, "dag-processor")
            self.servers.start("scheduler", self.airflow, "scheduler", "--skip-serve-logs")
            until("the DAG", lambda: self._rows("select dag_id from dag where dag_id = ?"))
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_):
        self.servers.stop()

    def _rows(self, query, *values):
        self.servers.assert_running()
        database = f"file:{self.folder}/airflow.db?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=30)) as found:
            return found.execute(query, (DAG, *values)).fetchall()

    def begin(self):
        """Let the schedule go on: the hour that comes next."""
        ((last,),) = self._rows(f"select max(r.data_interval_start) {EXPORTS} and t.start_date is not null")
        self.servers.call(self.airflow, "dags", "unpause", DAG)
        if last is None:
            return FIRST
        return datetime.datetime.fromisoformat(last).replace(tzinfo=datetime.timezone.utc) + HOUR

    def rest(self):
        """Let the schedule stand still."""
        self.servers.call(self.airflow, "dags", "pause", DAG)
        under_way = f"select t.state {TASKS} and t.state in ('queued', 'running', 'up_for_retry', 'restarting')"
        until("rest", lambda: not self._rows(under_way))

    def _task(self, hour):
        """State, attempts and how many there may be."""
        found = self._of(hour, "t.state, t.try_number, t.max_tries")
        return found[0] if found else (None, 0, 0)

    def _of(self, hour, columns):
        start = hour.strftime("%Y-%m-%d %H:%M:%S.%f")
        return self._rows(f"select {columns} {EXPORTS} and r.data_interval_start = ?", start)

    def wait(self, hour, wanted):
        def reached():
            state, attempts, _ = self._task(hour)
            if state in {"success", "failed"} and state != wanted:
                raise AssertionError(f"{hour}: {state} after {attempts} attempts; logs are in {self.folder}")
            return state == wanted or (wanted == "waiting" and (state == "up_for_retry" or attempts > 1))

        until(f"{hour}: {wanted}", reached)

    def attempts(self, hour):
        _, attempts, most = self._task(hour)
        if attempts > most:
            raise AssertionError(f"{hour}: all {most} attempts were used")
        return attempts

    def told(self, hour):
        """The log of the hour's attempts."""
        ((run,),) = self._of(hour, "r.run_id")
        logs = (self.folder / f"logs/dag_id={DAG}/run_id={run}/task_id=export").glob("*.log")
        return "".join(log.read_text() for log in logs)
