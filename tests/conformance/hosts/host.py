"""A host for the destination plugin in Python, on wasmtime's component model: one run, from a job file to its report.

    python host.py JOB.json

Payloads of up to 1.9 MB: wasmtime-py hands bytes over one by one, and wasmtime bounds the memory that a call may take.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record, ResourceHost, ResourceType, Variant

PAYLOAD, EXCHANGE = 0, 1
POLYNOMIALS = {"crc64nvme": (0x9A6C9329AC4BC9B5, 8), "crc32c": (0x82F63B78, 4), "crc32": (0xEDB88320, 4)}
job = json.loads(Path(sys.argv[1]).read_text())
threads, held, numbers = ThreadPoolExecutor(4), {}, iter(range(1, 1 << 31))
grants, scopes = [], []  # empty until the plan is known: nothing leaves before


def record(**fields):
    """A record of the contract, whose names have hyphens."""
    made = Record()
    made.__dict__ = {name.replace("_", "-"): value for name, value in fields.items()}
    return made


def own(kind, content):
    """Keeps something for the plugin, which gets a handle to it."""
    held[number := next(numbers)] = content
    return ResourceHost.own(number, kind)


def lent(store, handle):
    """What the plugin's handle stands for."""
    return held[handle.to_host(store).rep]


def digest(content, algorithm):
    """Computes a digest of a payload: SHA-256, or one of three CRCs, which differ in their polynomial only."""
    if algorithm == "sha256":
        return hashlib.sha256(content).digest()
    (polynomial, size), table = POLYNOMIALS[algorithm], range(256)
    for _ in range(8):
        table = [(each >> 1) ^ (polynomial if each & 1 else 0) for each in table]
    crc = ones = (1 << 8 * size) - 1
    for byte in content:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return (crc ^ ones).to_bytes(size, "big")


def failed(case, message, hint=None):
    """An error of the contract: what happened, and what to do about it where the host knows."""
    return Variant(case, record(message=message, hint=hint))


def is_granted(request, url):
    """Whether a grant covers the request: method, origin, start of the path, exact query keys, headers."""
    asked = (request.method, f"{url.scheme}://{url.netloc}", sorted(n for n, _ in parse_qsl(url.query, True)))
    headers = [name for name, _ in request.headers]
    return any(
        asked == (grant.method, grant.origin, sorted(grant.query))
        and url.path.startswith(getattr(grant, "path-prefix"))
        and all(any(h == n or n[-1] == "*" and h.startswith(n[:-1]) for n in grant.headers) for h in headers)
        for grant in grants
    )


def carry(request, body):
    """Carries a request; returns the response or the transport error."""
    url = urlsplit(request.url)
    if not is_granted(request, url):
        return failed("forbidden", f"no grant covers {request.method} {url.path}?{url.query}")
    time.sleep(getattr(request, "delay-ms") / 1000)
    connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
    try:
        with closing(connect(url.netloc, timeout=getattr(request, "timeout-ms") / 1000)) as server:
            server.request(request.method.upper(), f"{url.path}?{url.query}".rstrip("?"), body, dict(request.headers))
            response = server.getresponse()
            headers = [(name.lower(), value) for name, value in response.getheaders()]
            return record(status=response.status, headers=headers, body=response.read())
    except (OSError, HTTPException) as error:
        return failed("timeout" if isinstance(error, TimeoutError) else "interrupted", str(error))


def send(store, request):
    """Begins a request on a thread of its own and returns at once."""
    return own(EXCHANGE, threads.submit(carry, request, lent(store, request.body) if request.body else b""))


def wait_any(store, exchanges):
    waiting = [lent(store, each) for each in exchanges]
    wait(waiting, return_when=FIRST_COMPLETED)
    return next(at for at, each in enumerate(waiting) if each.done())


def scoped_key(store, service, region, refresh):
    """Returns the signing key of one date, region and service; the secret itself stays here."""
    if (service, region) not in scopes:
        return failed("forbidden", f"the plan does not sign for {service} in {region}")
    now, key = int(time.time()), ("AWS4" + job["secret_key"]).encode()
    for part in [time.strftime("%Y%m%d", time.gmtime(now)), region, service, "aws4_request"]:
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return record(access_key_id=job["access_key"], session_token=None, timestamp=now, key=key)


def note(store, content, durable):
    """Keeps a note until the run is over: a durable one is on disk before the plugin goes on."""
    with open(job["notes"], "a") as notes:
        print(content.hex(), file=notes, flush=True)
        if durable:
            os.fsync(notes.fileno())


IMPORTS = {
    "http": {
        "[constructor]payload": lambda store, content, digests: own(PAYLOAD, content),
        "[method]payload.digest": lambda store, payload, algorithm: digest(lent(store, payload), algorithm),
        "[method]exchange.wait": lambda store, exchange: lent(store, exchange).result(),
        "send": send,
        "wait-any": wait_any,
    },
    "signer": {"scoped-key": scoped_key},
    "journal": {"note": note},
    "log": {"write": lambda store, level, line: print(f"{level}: {line!r}", file=sys.stderr)},
}
engine = Engine()
store, linker, binary = Store(engine), Linker(engine), Path(job["component"]).read_bytes()
with linker.root() as root:
    for interface, functions in IMPORTS.items():
        with root.add_instance(f"batch-export:destination/{interface}@0.1.0") as instance:
            for name, kind in [("payload", PAYLOAD), ("exchange", EXCHANGE)] if interface == "http" else []:
                instance.add_resource(name, ResourceType.host(kind), lambda store, number: held.pop(number) and None)
            for name, function in functions.items():
                instance.add_func(name, function)
plugin = linker.instantiate(store, Component(engine, binary))
exporter = plugin.get_export_index(store, "batch-export:destination/exporter@0.1.0")


def call(name, *arguments):
    """Calls an export; a failure ends the run."""
    function = plugin.get_func(store, plugin.get_export_index(store, name, exporter))
    outcome = function(store, *arguments)
    function.post_return(store)
    return sys.exit(f"{name}: {told(outcome)}") if isinstance(outcome, Variant) else outcome


def told(failure):
    """A failure in words: each case but `defect` holds what happened apart from what to do about it."""
    held = failure.payload
    if failure.tag == "defect":
        return f"defect: {held}"
    reasons = held if failure.tag == "config" else [getattr(held, "reason", held)]
    lines = [f"{each.message}{f' (hint: {each.hint})' if each.hint else ''}" for each in reasons]
    return f"{failure.tag}: {'; '.join(lines)}"


interval, digest_of_plugin = record(start=job["start"], end=job["end"]), hashlib.sha256(binary).hexdigest()
run = record(**job["run"], interval=interval, plugin_digest=digest_of_plugin, time_limit_seconds=None)
configuration = json.dumps(job["configuration"])
plan = call("plan", configuration, run)
grants += plan.grants  # a host that does not trust the plugin allows of these what its operator's policy allows
scopes += [(scope.service, scope.region) for scope in plan.signing]
schema, *batches = [message.serialize().to_pybytes() for message in pa.ipc.MessageReader.open_stream(job["rows"])]
call("configure", configuration, run, schema)
for batch in batches:
    call("encode-batch", batch)
report = call("finish", job["row_count"])
print(json.dumps({"rows": getattr(report, "rows-exported"), "keys": [file.key for file in report.files]}))
