"""The files for systemd and Kubernetes: they are read by what reads them where it is there, and their lines are run here.
No systemd and no cluster runs them: what these do by themselves is not shown."""

import datetime
import json
import re
import shlex
import shutil
import subprocess

from scene import Scene
from stores import fresh

PERMANENT = {1, 2, 4}
PROGRAM = "/usr/local/bin/batch-export"
CONFIG = "/etc/batch-export/batch-export.toml"
HOUR = datetime.datetime(2026, 1, 1, 23, tzinfo=datetime.timezone.utc)
# What makes JSON of YAML: the environments of both orchestrators have its parser.
TO_JSON = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"


def check(examples, given):
    """Yields a line for each thing that is shown."""
    yield verify_units(examples / "systemd", given.folder / "systemd")
    with Scene(given, fresh(given.folder / "units")) as scene:
        yield run_unit(examples / "systemd", scene)
        yield run_container(examples / "kubernetes/batch-export.yaml", given.airflow, scene)
    yield agree(examples)


def verify_units(folder, copies):
    """By systemd's own reader. A wrong key is only a message there."""
    if shutil.which("systemd-analyze") is None:
        return "systemd: not read, because `systemd-analyze` is missing"
    fresh(copies)
    for unit in folder.iterdir():
        shutil.copy(unit, copies)
    units = sorted(copies.iterdir())
    read = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    if read.returncode != 0 or str(copies) in read.stderr:
        raise AssertionError(f"systemd-analyze verify: {read.stderr}")
    return "systemd: systemd-analyze has no objection (nothing is run by systemd itself)"


def line_of(unit, instance=""):
    """The words of the unit's ExecStart, as systemd makes them."""
    text = unit.read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    line = line.replace("%i", instance).replace("%%", "%").replace("$$", "$")
    return shlex.split(line)


def call(words, scene):
    ended = subprocess.run(words, env=scene.environment(), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise AssertionError(f"{words} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def run_unit(folder, scene):
    """The lines of both units, the last hour of a day, with the paths of here."""
    words = line_of(folder / "batch-export@.service", HOUR.strftime("%Y-%m-%dT%H"))
    call([word.replace(PROGRAM, "batch-export").replace(CONFIG, str(scene.config)) for word in words], scene)
    scene.prove(HOUR)
    before = datetime.datetime.now(datetime.timezone.utc)
    named = call([word.replace("systemctl", "echo") for word in line_of(folder / "batch-export-hourly.service")], scene)
    after = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    expected = {f"start --no-block batch-export@{(now - hour):%Y-%m-%dT%H}.service\n" for now in [before, after]}
    if named not in expected:
        raise AssertionError(f"the timer's unit starts {named!r}, not one of {expected}")
    return "systemd: the line of the unit exports the hour in its name, and the timer's unit names the last hour"


def run_container(manifest, python, scene):
    """The container's command, with the paths of here."""
    read = subprocess.run(
        [python, "-c", TO_JSON], input=manifest.read_text(), capture_output=True, text=True, check=True
    )
    job, claim = json.loads(read.stdout)
    pods = job["spec"]["jobTemplate"]["spec"]
    template = pods["template"]["spec"]
    (container,) = template["containers"]
    (volume,) = [each for each in template["volumes"] if each["name"] == "state"]
    if volume["persistentVolumeClaim"]["claimName"] != claim["metadata"]["name"]:
        raise AssertionError("the container's state is not on the volume that is claimed")
    words = container["command"] + container["args"]
    answer = json.loads(call([word.replace(CONFIG, str(scene.config)) for word in words], scene))
    scene.prove(datetime.datetime.fromisoformat(answer["interval"]["start"]))
    return "kubernetes: the manifest is YAML, and the container's line exports the last hour (no cluster runs it)"


def agree(examples):
    """Every example has the same codes for what is not to be tried again."""
    for path, pattern in [
        ("systemd/batch-export@.service", r"^RestartPreventExitStatus=(.*)$"),
        ("kubernetes/batch-export.yaml", r"^ +values: \[(.*)\]$"),
        ("airflow/batch_export_hourly.py", r"^PERMANENT = \{(.*)\}$"),
        ("dagster/batch_export_hourly.py", r"^PERMANENT = \{(.*)\}$"),
    ]:
        (codes,) = re.findall(pattern, (examples / path).read_text(), re.MULTILINE)
        if set(map(int, re.findall(r"\d+", codes))) != PERMANENT:
            raise AssertionError(f"{path}: fails at once on {codes}")
    return "all: exit codes 1, 2 and 4 are not tried again, in every example"
