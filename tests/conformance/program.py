"""The program `batch-export` as a user runs it: a configuration file, a command, an exit code. Decides nothing about
stores."""

import json
import os
import subprocess
from pathlib import Path

import rows

# Far above any run here, so that a program that hangs ends the conformance run with its name.
TIME_LIMIT_S = 600


def toml(value):
    """A value as TOML writes it; tables inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


class Outcome:
    """What one command left: its exit code, what it printed as JSON, and what it complained of."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr.strip()

    def document(self):
        return json.loads(self.stdout)

    def report(self):
        """The report of a run that must have succeeded."""
        if self.code != 0:
            raise AssertionError(f"exit code {self.code}: {self.stderr}")
        return self.document()

    def refused(self, code, *words):
        """A failure of this exit code whose message holds each of the words."""
        text = self.stderr.lower()
        missing = [word for word in words if word.lower() not in text]
        if self.code != code or missing:
            raise AssertionError(f"exit code {self.code}, expected {code} and {list(words)}: {self.stderr}")
        return self.stderr


class Program:
    """The program, the component, and a folder for configuration files. Its state, with the compiled component, is in a
    folder that all share: compiling takes half a minute."""

    def __init__(self, executable, component, folder, state):
        self.executable = str(executable)
        self.component = str(component)
        self.folder = Path(folder)
        self.state = Path(state)
        self.folder.mkdir(parents=True, exist_ok=True)

    def configure(self, destinations, name="exports"):
        """Write a configuration file with these destinations; each is a table."""
        text = [f"state_dir = {toml(str(self.state))}\n"]
        for destination, table in destinations.items():
            text.append(f"[destinations.{json.dumps(destination)}]\n")
            text.extend(f"{field} = {toml(value)}\n" for field, value in table.items())
        path = self.folder / f"{name}.toml"
        path.write_text("".join(text))
        return path

    def start(self, command, config, *arguments, wrapper=()):
        """Start a command and leave it running; a wrapper precedes it on the line."""
        line = [*wrapper, self.executable, command]
        if config is not None:
            line += ["--config", str(config), "--component", self.component]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return subprocess.Popen(
            [*line, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"NO_COLOR": "1"},
        )

    def call(self, command, config, *arguments, wrapper=()):
        """Run a command to its end."""
        process = self.start(command, config, *arguments, wrapper=wrapper)
        try:
            stdout, stderr = process.communicate(timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"`{command}` did not end within {TIME_LIMIT_S} s") from None
        finally:
            # Also where this run itself is told to end: nothing it started goes on.
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Outcome(process.returncode, stdout, stderr)

    def run(self, config, destination, wrapper=()):
        """Export the hour that all tests are about."""
        return self.call("run", config, "--destination", destination, *HOUR, "--json", wrapper=wrapper)


HOUR = ["--start", rows.START, "--end", rows.END]
