"""What an orchestrator's runs are about: a store on loopback, the configuration of a destination, the processes of a run.
Knows no orchestrator."""

import contextlib
import datetime
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from program import toml
from stores import Devstore

# A slow machine, and an orchestrator that looks once a minute.
LIMIT_S = 240
FEW_ROWS = 10
# About 200 MiB: long enough to be met in the middle.
MANY_ROWS = 200_000


def until(what, look):
    """What `look` answers once it is something."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {LIMIT_S} s")


class Process:
    """A running `batch-export run`."""

    def __init__(self, number):
        self.number = number

    def terminate(self):
        os.kill(self.number, signal.SIGTERM)

    def kill_with_workers(self, count):
        """Kill it and as many processes above it, from above: nobody is left to tell how it ended."""
        numbers = [self.number]
        for _ in range(count):
            numbers.append(parent(numbers[-1]))
        for number in reversed(numbers):
            os.kill(number, signal.SIGKILL)


def parent(number):
    status = Path(f"/proc/{number}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


class Scene:
    """A store that can be away, and a configuration that can be wrong for a while. Use it as a context."""

    MANY = {"type": "sample", "rows_per_hour": MANY_ROWS}
    FEW = {"type": "sample", "rows_per_hour": FEW_ROWS}

    def __init__(self, given, folder):
        self.given = given
        self.folder = folder
        self.config = folder / "batch-export.toml"
        self.store = Devstore(given.devstore, folder / "store")

    def __enter__(self):
        self.store.__enter__()
        self._configure({})
        return self

    def __exit__(self, *_):
        self.store.stop()

    def environment(self):
        """Of a worker: where the program and its configuration are, and nobody's credentials."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return own | {
            "PATH": f"{self.given.program.parent}{os.pathsep}{own['PATH']}",
            "BATCH_EXPORT_CONFIG": str(self.config),
        }

    def _configure(self, fields):
        destination = self.store.destination() | {
            "model": "events",
            "prefix": "{table}/",
            "file_format": "JSONLines",
            "source": self.FEW,
        }
        lines = [f"state_dir = {toml(str(self.folder / 'state'))}\n"]
        lines.append(f"component.path = {toml(str(self.given.component))}\n")
        lines.append("[destinations.archive]\n")
        lines.extend(f"{name} = {toml(value)}\n" for name, value in (destination | fields).items())
        # At once: a run may be reading it.
        new = self.config.with_suffix(".new")
        new.write_text("".join(lines))
        new.replace(self.config)

    @contextlib.contextmanager
    def configured(self, **fields):
        self._configure(fields)
        yield
        self._configure({})

    @contextlib.contextmanager
    def store_away(self):
        self.store.stop()
        yield
        self.store.start()

    def _key(self, hour):
        end = hour + datetime.timedelta(hours=1)
        return f"events/{hour.isoformat()}-{end.isoformat()}.jsonl"

    def open_uploads(self):
        answer = self.store.client().list_multipart_uploads(Bucket=self.store.bucket)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    def uploading(self, hour):
        """The run of this hour, once its upload is open."""
        until(f"the upload of {hour}", lambda: self._key(hour) in self.open_uploads())
        line = ["batch-export", "run", "--destination", "archive", "--start", hour.isoformat()]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_text().split("\0")
                if words[: len(line)] == line and self._is_ours(entry):
                    return Process(int(entry.name))
        raise AssertionError(f"the run of {hour} is over before it could be met")

    def _is_ours(self, entry):
        return f"BATCH_EXPORT_CONFIG={self.config}".encode() in (entry / "environ").read_bytes().split(b"\0")

    def prove(self, hour, source=FEW):
        """The hour has one object with every row once, and nothing is open."""
        client = self.store.client()
        found = client.list_objects_v2(Bucket=self.store.bucket, Prefix=f"events/{hour.isoformat()}")
        keys = [item["Key"] for item in found.get("Contents", [])]
        if keys != [self._key(hour)]:
            raise AssertionError(f"{hour}: the store holds {keys}")
        lines = client.get_object(Bucket=self.store.bucket, Key=keys[0])["Body"].iter_lines()
        rows = [json.loads(line)["uuid"] for line in lines]
        if len(rows) != source["rows_per_hour"] or len(set(rows)) != len(rows):
            raise AssertionError(f"{hour}: {len(rows)} rows, {len(set(rows))} of them different")
        if left := self.open_uploads():
            raise AssertionError(f"{hour}: uploads are still open: {left}")


class Servers:
    """Processes of an orchestrator, each with a log. Ends them by their ids."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment
        self.running = {}

    def start(self, name, *line):
        with open(self.folder / f"{name}.log", "wb") as log:
            # In a group of its own, so that what it starts ends with it.
            self.running[name] = subprocess.Popen(
                list(map(str, line)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )

    def call(self, *line):
        """Run a command of the orchestrator to its end."""
        ended = subprocess.run(
            list(map(str, line)), env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if ended.returncode != 0:
            raise AssertionError(f"{line} ended with {ended.returncode}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        return ended.stdout

    def assert_running(self):
        for name, process in self.running.items():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode}; its log is in {self.folder}")

    def stop(self):
        for process in reversed(self.running.values()):
            process.terminate()
        for process in reversed(self.running.values()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()
