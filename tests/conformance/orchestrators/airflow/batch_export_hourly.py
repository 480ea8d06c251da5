"""Exports every hour with `batch-export run`. Airflow decides when to try again."""

import datetime
import subprocess

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# Action is required, or there is a bug: to try again would fail again.
PERMANENT = {1, 2, 4}


class BatchExportOperator(BaseOperator):
    """Exports the data interval of its run. The worker's environment names the configuration: BATCH_EXPORT_CONFIG."""

    def __init__(self, *, destination, **arguments):
        super().__init__(**arguments)
        self.destination = destination
        self.process = None

    def execute(self, context):
        line = ["batch-export", "run", "--destination", self.destination]
        for option in ["start", "end"]:
            time = context[f"data_interval_{option}"].astimezone(datetime.timezone.utc)
            line += [f"--{option}", time.isoformat()]
        # What it prints becomes the log of the task.
        self.process = subprocess.Popen(line)
        code = self.process.wait()
        if code in PERMANENT:
            raise AirflowFailException(f"batch-export ended with {code}: it fails until somebody acts")
        if code != 0:
            raise AirflowException(f"batch-export ended with {code}: it may succeed later")

    def on_kill(self):
        # It aborts its open uploads, within five seconds, and ends with 143.
        if self.process:
            self.process.terminate()


with DAG(
    "batch_export_hourly",
    # A plain cron expression has no interval in Airflow 3: start and end would be equal.
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    # Every hour since then is exported, also those in which Airflow did not run, one after the other.
    catchup=True,
    max_active_runs=1,
):
    # Rows are stored a little late.
    settle = TimeDeltaSensor(task_id="settle", delta=datetime.timedelta(minutes=5), mode="reschedule")
    export = BatchExportOperator(
        task_id="export",
        destination="archive",
        # From `default_task_retry_delay`, 5 minutes, to an hour: for most of a day.
        retries=24,
        retry_exponential_backoff=True,
        max_retry_delay=datetime.timedelta(hours=1),
    )
    settle >> export
