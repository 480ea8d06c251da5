"""The features that every store is asked for: what is sent, and what the store then holds. A feature answers in a few
words what it verified, or raises. Knows no store by name."""

import hashlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from stage import MANY_ROWS, ROWS, Stage

# Several files of 1 MiB.
SPLIT = {"file_format": "Parquet", "compression": "zstd", "max_file_size_mb": 1, "rows": MANY_ROWS}
LONGEST_KEY_BYTES = 1024


class Absent(Exception):
    """The store has nothing to try this with."""


class Untried(Exception):
    """This machine has nothing to try this with."""


def signed(stage: Stage):
    stage.exported("signed/", payload_signing="signed", compression="gzip")
    return f"one PUT, {ROWS} rows byte for byte"


def refuses_payload(stage: Stage):
    """A body that is not the signed one."""
    answer = put_raw(stage, "x-amz-content-sha256", hashlib.sha256(b"other").hexdigest())
    if answer.status_code < 400:
        raise AssertionError(f"a body other than the signed one was taken with {answer.status_code}")
    return f"{answer.status_code} for another body than the signed one"


def put_raw(stage, header, value):
    """One PUT signed by botocore, with a header of our choice that does not fit the body."""
    store = stage.store
    url = f"{store.http}/{store.bucket}/raw"
    request = AWSRequest("PUT", url, data=b"body", headers={header: value})
    credentials = Credentials(store.access_key, store.secret_key)
    signer = S3SigV4Auth(credentials, "s3", store.region)
    if header == "x-amz-content-sha256":
        signer.payload = lambda _: value
    signer.add_auth(request)
    return URLLib3Session().send(request.prepare())


def unsigned_tls(stage: Stage):
    endpoint = _https(stage)
    table = stage.table("unsigned/", endpoint=endpoint, payload_signing="unsigned", rows=MANY_ROWS)
    report = stage.export(table).report()["report"]
    _over_tls(stage, report, table)
    return "multipart over TLS with a CA file, byte for byte"


def signed_tls(stage: Stage):
    table = stage.table("signed-tls/", endpoint=_https(stage), payload_signing="signed")
    _over_tls(stage, stage.export(table).report()["report"], table)
    return "one PUT over TLS with a CA file, byte for byte"


def _over_tls(stage, report, table):
    client = stage.client
    stage.client = stage.store.client(stage.store.https)
    try:
        stage.prove(report, table)
    finally:
        stage.client = client


def unknown_authority(stage: Stage):
    table = stage.table("no-ca/", endpoint=_https(stage))
    del table["egress"]["ca_file"]
    stage.export(table).refused(1, "certificate")
    return "exit code 1, the message names the certificate"


def _https(stage):
    if stage.store.https is None:
        raise Absent("speaks no TLS")
    return stage.store.https


def multipart(stage: Stage):
    report = stage.exported("multipart/", rows=MANY_ROWS)
    (file,) = report["files"]
    size, etag = file["bytes"], stage.head(file["key"])["ETag"].strip('"')
    parts = -(-size // (8 << 20))
    if parts < 3 or not etag.endswith(f"-{parts}"):
        raise AssertionError(f"{size} bytes should be {parts} parts; ETag {etag}")
    return f"{parts} parts, {size >> 20} MiB byte for byte, none open"


def split(stage: Stage):
    report = stage.exported("split/", **SPLIT)
    keys = [file["key"] for file in report["files"]]
    found = stage.keys("split/")
    if sorted([*keys, report["manifest_key"]]) != found:
        raise AssertionError(f"listed {found}, reported {keys}")
    return f"{len(keys)} files, the manifest lists them"


def fewer_files(stage: Stage):
    before = stage.exported("fewer/", **SPLIT)
    after = stage.exported("fewer/", **(SPLIT | {"rows": ROWS}))
    found = stage.keys("fewer/")
    left = sorted([*(file["key"] for file in after["files"]), after["manifest_key"]])
    if len(before["files"]) <= len(after["files"]) or found != left:
        raise AssertionError(f"{len(before['files'])} files, then {len(after['files'])}; left {found}")
    return f"{len(before['files'])} files, then {len(after['files'])}: the rest is gone"


# Prefixes that stores, signers and URL libraries disagree on.
SPECIAL_KEYS = {
    "keys: space and + : = & % # ? ~ *": "a b  c/+:=&%#?~*/%2B%20%/",
    "keys: quotes and others": "'single' \"double\" `back` (x) [y] <z> |^;,@$!/",
    "keys: emoji and others": "日本 😀 é e\u0301/",
    "keys: //": "a//b///c/",
}


def special_key(prefix):
    def feature(stage: Stage):
        reports = [stage.exported(prefix, compression="gzip"), stage.exported(prefix, rows=MANY_ROWS)]
        reports.append(stage.exported(prefix, **SPLIT))
        keys = [file["key"] for report in reports for file in report["files"]]
        missing = set(keys) - set(stage.keys())
        if missing:
            raise AssertionError(f"not in the listing: {sorted(missing)}")
        return "PUT, multipart and manifest, read and listed"

    return feature


def longest_key(stage: Stage):
    name_bytes = len("2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00.jsonl.gz")
    # Segments of at most 200 bytes, as a store on a file system has room for. The key of the last file that could
    # follow must fit as well.
    longest = LONGEST_KEY_BYTES - len("-4294967295")
    room = longest - name_bytes - len("/")
    prefix = "/".join(["k" * 200] * (room // 201) + ["k" * (room % 201)])
    report = stage.exported(prefix, compression="gzip")
    (file,) = report["files"]
    if len(file["key"].encode()) != longest:
        raise AssertionError(f"the key has {len(file['key'].encode())} bytes")
    return f"{longest} bytes, read back"


OBJECTS = {
    "signed payload, path style": signed,
    "refuses a wrong payload hash": refuses_payload,
    "signed payload over TLS": signed_tls,
    "unsigned payload over TLS": unsigned_tls,
    "TLS of an unknown authority": unknown_authority,
    "multipart upload": multipart,
    "splitting and manifest": split,
    "rerun with fewer files": fewer_files,
    **{name: special_key(prefix) for name, prefix in SPECIAL_KEYS.items()},
    "keys: the longest": longest_key,
}
