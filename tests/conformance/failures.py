"""The features that are about what goes wrong: credentials, names, kills and a network that loses a third of all requests.
Knows no store by name."""

import shutil

from features import Untried
from lossy import Faults, Proxy
from program import HOUR, TIME_LIMIT_S
from stage import MANY_ROWS, Stage, count_rows

MILLION = 1_000_000
SEED = 20230728
# Hangs end after this; the default would make the run wait minutes for what it sends again anyway.
REQUEST_TIME_S = 5


def virtual_hosted(stage: Stage):
    """The bucket's name is resolved by nobody: a proxy takes it, as a company's would."""
    with Proxy(stage.store.http) as proxy:
        port = stage.store.http.rsplit(":", 1)[1]
        endpoint = f"http://{stage.store.domain}:{port}"
        table = stage.table("virtual/", rows=MANY_ROWS, use_virtual_style_addressing=True)
        table |= {
            "endpoint_url": endpoint,
            "egress": {
                "allow_private": [f"{stage.store.bucket}.{stage.store.domain}:{port}", proxy.address],
                "proxy": f"http://{proxy.address}",
            },
        }
        stage.prove(stage.export(table).report()["report"], table)
        if proxy.requests < 3:
            raise AssertionError(f"{proxy.requests} requests went through the proxy")
    return "multipart through an HTTP proxy, byte for byte"


def write_only(stage: Stage):
    access_key, secret_key = stage.store.writer
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key} | stage.store.writer_fields
    report = stage.exported("write-only/", max_file_size_mb=1, rows=MANY_ROWS, compression="zstd", **keys)
    big = stage.exported("write-only-parts/", rows=MANY_ROWS, **keys)
    told = f"{len(report['warnings']) + len(big['warnings'])} warnings"
    return f"PUT, multipart and manifest without leave to read, list or delete; {told}"


def wrong_secret(stage: Stage):
    table = stage.table("wrong/") | {"aws_secret_access_key": "not-the-secret-of-this-key"}
    message = stage.export(table).refused(1, "aws_secret_access_key")
    if "not-the-secret" in message:
        raise AssertionError("the secret is in the message")
    return "exit code 1, the message names the field"


def unknown_key(stage: Stage):
    table = stage.table("wrong/") | {"aws_access_key_id": "AKIANOBODY0000000000"}
    stage.export(table).refused(1, "aws_access_key_id")
    return "exit code 1, the message names the field"


def wrong_region(stage: Stage):
    table = stage.table("wrong/") | {"region": "eu-nowhere-9"}
    stage.export(table).refused(1, "eu-nowhere-9")
    return "exit code 1, the message names the region"


def no_such_bucket(stage: Stage):
    table = stage.table("wrong/") | {"bucket_name": "no-such-bucket-here"}
    stage.export(table).refused(1, "no-such-bucket-here")
    return "exit code 1, the message names the bucket"


def skewed_clock(stage: Stage):
    """The program in front of a clock that the store refuses: 15 minutes are what S3 allows."""
    faketime = shutil.which("faketime")
    if faketime is None:
        raise Untried("there is no `faketime` on this machine")
    for offset in ["+20m", "-20m"]:
        table = stage.table("skewed/", rows=MANY_ROWS)
        # Only the time of day is shifted: timers have no need to know.
        wrapper = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", faketime, "-f", offset]
        report = stage.export(table, wrapper).report()["report"]
        stage.prove(report, table)
        if not report["retries"]:
            raise AssertionError("no request was refused: the store looks at no clock")
    return "20 minutes ahead and behind, corrected by the store's clock"


def check(stage: Stage):
    config = stage.program.configure({stage.store.word: stage.table("check/")}, "check")
    outcome = stage.program.call("check", config, "--destination", stage.store.word, "--json")
    steps = outcome.report()["steps"]
    failed = [step["name"] for step in steps if step["outcome"] != "passed"]
    if failed or stage.keys("check/") or stage.open_uploads():
        raise AssertionError(f"not passed: {failed}; left: {stage.keys('check/')}, {stage.open_uploads()}")
    return f"{len(steps)} steps passed, nothing left"


def killed(stage: Stage):
    """Killed in the middle of an upload; the next start aborts what was left and exports all."""
    with Proxy(stage.store.http) as proxy:
        proxy.held = lambda method, target: "partNumber=3" in target
        table = stage.table("killed/", rows=MANY_ROWS)
        table |= {"endpoint_url": f"http://{proxy.address}", "egress": {"allow_private": [proxy.address]}}
        config = stage.program.configure({stage.store.word: table}, "killed")
        process = stage.program.start("run", config, "--destination", stage.store.word, *HOUR, "--json", "--quiet")
        try:
            if not proxy.held_one.wait(TIME_LIMIT_S):
                raise AssertionError("the third part was never sent")
        finally:
            process.kill()
            process.communicate()
        left = stage.open_uploads()
        if not left:
            raise AssertionError("the killed run left no upload open: nothing was tried")
        proxy.held = None
        report = stage.program.run(config, stage.store.word).report()
    if not report["recovery"]["aborted"]:
        raise AssertionError(f"nothing was aborted: {report['recovery']}")
    stage.prove(report["report"], table)
    return "1 upload aborted at the next start, all rows there"


def lossy(stage: Stage):
    """A million rows through a proxy that loses a third of all requests, by one export of many parts and files."""
    faults = Faults(SEED, latency_s=0.02, slow_down=0.20, cut=0.10, hang=0.03)
    with Proxy(stage.store.http, faults) as proxy:
        table = stage.table("lossy/", rows=MILLION, max_file_size_mb=64)
        table |= {
            "endpoint_url": f"http://{proxy.address}",
            "egress": {"allow_private": [proxy.address]},
            "limits": {"request_time_s": REQUEST_TIME_S},
        }
        report = stage.export(table).report()["report"]
    keys = [file["key"] for file in report["files"]]
    if stage.keys("lossy/") != sorted([*keys, report["manifest_key"]]) or stage.open_uploads():
        raise AssertionError(f"reported {keys}, found {stage.keys('lossy/')}, open {stage.open_uploads()}")
    count_rows(table, map(stage.bytes, keys), MILLION)
    struck = ", ".join(f"{count} {what}" for what, count in faults.struck.items())
    return f"{MILLION:,} rows each once in {len(keys)} files; {report['retries']} retries ({struck})"


def verify(stage: Stage):
    """The program's own reading back: it passes what a split run wrote, and finds what was changed since."""
    fields = {"rows": MANY_ROWS, "file_format": "JSONLines", "compression": "zstd", "max_file_size_mb": 1}
    report = stage.exported("verify/", **fields)
    config = stage.program.configure({stage.store.word: stage.table("verify/", **fields)}, "verify")
    line = ["verify", config, "--destination", stage.store.word, *HOUR, "--json"]
    stage.program.call(*line).report()
    key = report["files"][0]["key"]
    changed = bytearray(stage.bytes(key))
    changed[len(changed) // 2] ^= 1
    stage.client.put_object(Bucket=stage.store.bucket, Key=key, Body=bytes(changed))
    outcome = stage.program.call(*line)
    if outcome.code != 1 or key not in outcome.stdout + outcome.stderr:
        raise AssertionError(f"one changed bit: exit code {outcome.code}, {outcome.stderr}")
    return f"{len(report['files'])} files and manifest pass; one changed bit is found"


FAILURES = {
    "virtual-hosted addressing": virtual_hosted,
    "write-only credentials": write_only,
    "wrong secret": wrong_secret,
    "unknown access key": unknown_key,
    "wrong region": wrong_region,
    "no such bucket": no_such_bucket,
    "a clock 20 minutes off": skewed_clock,
    "check": check,
    "killed in mid upload": killed,
    "verify": verify,
    "a million rows through a lossy proxy": lossy,
}
