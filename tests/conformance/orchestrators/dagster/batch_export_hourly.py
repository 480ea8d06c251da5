"""Exports every hour with `batch-export run`. Dagster decides when to try again."""

import datetime
import os
import subprocess

import dagster as dg

# Action is required, or there is a bug: to try again would fail again.
PERMANENT = {1, 2, 4}

# After 5, 10, 15 … minutes: for eleven hours.
LATER = dg.RetryPolicy(
    max_retries=16,
    delay=float(os.environ.get("BATCH_EXPORT_RETRY_DELAY_S", "300")),
    backoff=dg.Backoff.LINEAR,
)


@dg.asset(
    partitions_def=dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00", timezone="UTC"),
    retry_policy=LATER,
    pool="batch_export",
)
def archive(context: dg.AssetExecutionContext) -> None:
    """One hour in the bucket. The worker's environment names the configuration: BATCH_EXPORT_CONFIG."""
    line = ["batch-export", "run", "--destination", "archive"]
    for option, time in zip(["start", "end"], context.partition_time_window):
        line += [f"--{option}", time.astimezone(datetime.timezone.utc).isoformat()]
    # What it prints becomes the log of the step.
    with subprocess.Popen(line) as process:
        try:
            code = process.wait()
        except BaseException:
            # It aborts its open uploads, within five seconds, and ends with 143.
            process.terminate()
            raise
    if code in PERMANENT:
        raise dg.Failure(f"batch-export ended with {code}: it fails until somebody acts", allow_retries=False)
    if code != 0:
        raise dg.Failure(f"batch-export ended with {code}: it may succeed later")


# In one process: a worker that is lost is a run that is lost, which `run_retries` starts again.
job = dg.define_asset_job("export", selection=[archive], executor_def=dg.in_process_executor)

definitions = dg.Definitions(
    assets=[archive],
    jobs=[job],
    schedules=[
        dg.build_schedule_from_partitioned_job(
            job, minute_of_hour=5, default_status=dg.DefaultScheduleStatus.RUNNING
        )
    ],
)
