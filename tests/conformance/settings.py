"""The features that are settings of the objects: encryption, checksums, conditions, and what is kept next to the bytes.
Knows no store by name."""

import base64

from features import SPLIT, Absent, put_raw
from stage import MANY_ROWS, ROWS, Stage


def encrypted(wanted, key=None):
    """Every object, the manifest and those of several parts too."""

    def feature(stage: Stage):
        further = {"encryption": wanted}
        if key is not None:
            further["kms_key_id"] = getattr(stage.store, key)
            if further["kms_key_id"] is None:
                raise Absent("its key server has no key that is named like this")
        folder = f"encrypted-{key or 'without-key'}/"
        reports = [stage.exported(folder, rows=MANY_ROWS, **further), stage.exported(folder, **SPLIT, **further)]
        names = [file["key"] for report in reports for file in report["files"]] + [reports[1]["manifest_key"]]
        for name in names:
            head = stage.head(name)
            if head.get("ServerSideEncryption") != wanted:
                raise AssertionError(f"{name} has encryption {head.get('ServerSideEncryption')}")
            if key is not None and further["kms_key_id"] not in head.get("SSEKMSKeyId", ""):
                raise AssertionError(f"{name} has key {head.get('SSEKMSKeyId')}")
        return f"PUT, multipart and manifest: {len(names)} objects say so"

    return feature


def checksum(algorithm, kind, **fields):
    field = f"Checksum{algorithm.upper()}"

    def feature(stage: Stage):
        report = stage.exported(f"checksum-{algorithm}/", checksum=algorithm, **fields)
        head = stage.head(report["files"][0]["key"])
        if field not in head:
            raise AssertionError(f"{kind}: the object's head has no {field}")
        return f"of {kind}, kept and answered"

    return feature


# For each checksum its length; one of zeros is none of our body's.
CHECKSUM_BYTES = {"crc64nvme": 8, "crc32c": 4, "crc32": 4, "sha256": 32}


def refuses_checksums(stage: Stage):
    """A body that does not have the checksum announced."""
    for algorithm, length in CHECKSUM_BYTES.items():
        wrong = base64.b64encode(bytes(length)).decode()
        answer = put_raw(stage, f"x-amz-checksum-{algorithm}", wrong)
        if answer.status_code < 400:
            raise AssertionError(f"a wrong {algorithm} was taken with {answer.status_code}")
    return f"{answer.status_code} for a wrong one of each kind"


def never_overwrite(stage: Stage):
    fields = {"if_none_match": True, "compression": "gzip"}
    stage.exported("never/", **fields)
    stage.exported("never/", **fields)
    other = stage.export(stage.table("never/", rows=ROWS + 1, **fields))
    other.refused(1)
    stage.exported("never/", **fields)
    return "an identical rerun is a no-op, another is refused"


def never_overwrite_parts(stage: Stage):
    fields = {"if_none_match": True, "rows": MANY_ROWS}
    stage.exported("never-parts/", **fields)
    stage.exported("never-parts/", **fields)
    stage.export(stage.table("never-parts/", if_none_match=True, rows=MANY_ROWS + 1)).refused(1)
    stage.exported("never-parts/", **fields)
    return "the same with multipart uploads"


def storage_class(stage: Stage):
    report = stage.exported("class/", storage_class="STANDARD_IA", compression="gzip")
    found = stage.head(report["files"][0]["key"]).get("StorageClass")
    if found != "STANDARD_IA":
        raise AssertionError(f"the object's storage class is {found}")
    return "STANDARD_IA, answered by HEAD"


def tagged(kind, **fields):
    wanted = {"team": "data", "cost centre": "a+b=c/d:e@f"}

    def feature(stage: Stage):
        report = stage.exported("tags/", tags=wanted, **fields)
        key = report["files"][0]["key"]
        answer = stage.client.get_object_tagging(Bucket=stage.store.bucket, Key=key)
        found = {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", [])}
        if found != wanted:
            raise AssertionError(f"{key} has tags {found}")
        return f"{len(wanted)} tags of {kind}, answered"

    return feature


def metadata(stage: Stage):
    wanted = {"source": "batch-export", "note": "a, b; c"}
    for fields in [{"compression": "gzip"}, {"rows": MANY_ROWS}]:
        report = stage.exported("metadata/", metadata=wanted, **fields)
        found = stage.head(report["files"][0]["key"])["Metadata"]
        if {name: found.get(name) for name in wanted} != wanted:
            raise AssertionError(f"metadata {found}")
    return "2 values on PUT and multipart"


def content_type(stage: Stage):
    for file_format, wanted in [("JSONLines", "application/x-ndjson"), ("Parquet", "application/vnd.apache.parquet")]:
        report = stage.exported("type/", file_format=file_format)
        found = stage.head(report["files"][0]["key"])
        if found["ContentType"] != wanted or found.get("ContentEncoding"):
            raise AssertionError(f"{found['ContentType']}, encoding {found.get('ContentEncoding')}")
    return "kept, and no Content-Encoding"


ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def acl(stage: Stage):
    for fields in [{"compression": "gzip"}, {"rows": MANY_ROWS}]:
        report = stage.exported("acl/", acl="public-read", **fields)
        key = report["files"][0]["key"]
        grants = stage.client.get_object_acl(Bucket=stage.store.bucket, Key=key)["Grants"]
        found = [(grant["Grantee"].get("URI"), grant["Permission"]) for grant in grants]
        if (ALL_USERS, "READ") not in found:
            raise AssertionError(f"has grants {found}: {key}")
    return "public-read on PUT and multipart, answered by GetObjectAcl"


def expected_owner(stage: Stage):
    fields = {"compression": "gzip"}
    stage.exported("owner/", expected_bucket_owner=stage.store.owner, **fields)
    other = stage.export(stage.table("owner/", expected_bucket_owner="999999999999", **fields))
    other.refused(1)
    return "the owner's account is let in, another is refused"


GZIP = {"compression": "gzip"}
PARTS = {"rows": MANY_ROWS}

SETTINGS = {
    "encryption AES256": encrypted("AES256"),
    "encryption aws:kms, key id": encrypted("aws:kms", "kms_key_id"),
    "encryption aws:kms, ARN": encrypted("aws:kms", "kms_key_arn"),
    "refuses wrong checksums": refuses_checksums,
    **{
        f"checksum {name}, {kind}": checksum(name, kind, **fields)
        for name in CHECKSUM_BYTES
        for kind, fields in [("one PUT", GZIP), ("multipart", PARTS)]
    },
    "if_none_match, one PUT": never_overwrite,
    "if_none_match, multipart": never_overwrite_parts,
    "storage class": storage_class,
    "acl": acl,
    "tags, one PUT": tagged("a PUT", **GZIP),
    "tags, multipart": tagged("a multipart upload", **PARTS),
    "metadata": metadata,
    "content type": content_type,
    "expected_bucket_owner": expected_owner,
}
