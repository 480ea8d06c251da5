"""Starts real S3 servers on loopback, each on free ports with folders of its own, and stops them by process id. Installs
nothing and tests nothing."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.config
import trustme

ACCESS_KEY = "AKIACONFORMANCE00001"
SECRET_KEY = "conformance/secret+key00000000000000000"
WRITER_ACCESS_KEY = "AKIACONFORMANCE00002"
BUCKET = "conformance"
KMS_KEY_ID = "conformance-key"
KMS_KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# Server processes answer within seconds; a slow machine gets time before it counts as failed.
START_LIMIT_S = 120
# What they hold is thrown away: nobody waits for a long goodbye.
STOP_LIMIT_S = 3


def free_ports(count):
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def leave_nothing_behind():
    """Make a request to end this process end it in order, so that its servers are stopped; further requests wait for
    that."""

    def end(number, _):
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        print("stopping the servers", file=sys.stderr)
        sys.exit(128 + number)

    for number in ENDING:
        signal.signal(number, end)


def fresh(folder):
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Store:
    """A running server: where it is and who may come in. Use it as a context."""

    name = ""
    # The name as an argument, and as a destination.
    word = ""
    region = "us-east-1"
    bucket = BUCKET
    # A key that `aws:kms` can name by its id and one by its ARN, where the server has some.
    kms_key_id = None
    kms_key_arn = None
    # The account that a bucket belongs to.
    owner = "111122223333"
    # The domain under which buckets are names.
    domain = "localhost"
    # Who may only write: access key and secret.
    writer = None
    # What a writer's destination needs besides, so that the bucket's owner may read what it wrote.
    writer_fields = {}

    def __init__(self, folder):
        self.folder = fresh(Path(folder))
        self.processes = []
        self.http = self.https = None
        self.access_key, self.secret_key = ACCESS_KEY, SECRET_KEY
        self.ca_file = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def spawn(self, name, *line, **environment):
        """Start a process of the server, its output in a log file."""
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                list(map(str, line)), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | environment
            )
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def wait(self, what, ready):
        """Until `ready` holds; a process that ended, or the limit, is an error that names the logs."""
        for _ in range(START_LIMIT_S * 10):
            if any(process.poll() is not None for process in self.processes):
                break
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                if ready():
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not start ({what}); its logs are in {self.folder}")

    def wait_http(self, url):
        """Until anything answers HTTP there."""

        def answers():
            try:
                urllib.request.urlopen(url, timeout=2)
            except urllib.error.HTTPError:
                pass
            return True

        self.wait(url, answers)

    def certificate(self):
        """A certificate for localhost of a new authority: paths of the chain and the key. Sets `ca_file`."""
        authority = trustme.CA()
        server = authority.issue_cert("localhost", f"*.{self.domain}", "127.0.0.1")
        self.ca_file = self.folder / "ca.pem"
        chain, key = self.folder / "server.crt", self.folder / "server.key"
        authority.cert_pem.write_to_path(str(self.ca_file))
        server.private_key_pem.write_to_path(str(key))
        for at, part in enumerate(server.cert_chain_pems):
            part.write_to_path(str(chain), append=at > 0)
        return chain, key

    def client(self, endpoint=None):
        """An S3 client that shares nothing with what is tested."""
        endpoint = endpoint or self.http
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            verify=str(self.ca_file) if endpoint.startswith("https") else None,
            config=botocore.config.Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 5},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def destination(self, endpoint=None):
        """A destination's table for this server, without prefix, model and source."""
        endpoint = endpoint or self.http
        egress = {"allow_private": [endpoint.split("://")[1]]}
        if endpoint.startswith("https"):
            egress["ca_file"] = str(self.ca_file)
        return {
            "bucket_name": self.bucket,
            "region": self.region,
            "endpoint_url": endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "egress": egress,
        }


class Devstore(Store):
    """The project's own strict server; one process with and one without TLS, with the same folder's parent."""

    name = word = "devstore"
    kms_key_id, kms_key_arn = KMS_KEY_ID, KMS_KEY_ARN

    def __init__(self, executable, folder):
        super().__init__(folder)
        self.executable = executable
        self.writer = (WRITER_ACCESS_KEY, SECRET_KEY)
        # Kept, so that it can be stopped for a while.
        self.ports = dict(zip(["http", "https"], free_ports(2)))

    def start(self):
        self.ca_file = self.folder / "ca.pem"
        self.http = self._serve("http")
        self.https = self._serve("https", "--tls-ca-file", self.ca_file)

    def _serve(self, scheme, *further):
        port = self.ports[scheme]
        self.spawn(
            scheme,
            self.executable,
            *("--listen", f"127.0.0.1:{port}", "--folder", self.folder / scheme, "--bucket", BUCKET),
            *("--access-key", ACCESS_KEY, "--write-only-access-key", WRITER_ACCESS_KEY, "--domain", self.domain),
            *further,
            AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        )
        self.wait(scheme, lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None)
        return f"{scheme}://127.0.0.1:{port}"
