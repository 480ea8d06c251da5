"""What each store is known not to do, and why that is not a fault of ours: for each feature a word for the table (`ignored`:
the store answers success and does nothing; `unsupported`: it refuses, or has other ways), the reason, and words that its
failure must hold, so that nothing else hides behind it. A feature that works though it stands here fails the suite: the
list stays true."""

CHECKSUMS = [f"checksum {name}" for name in ["crc64nvme", "crc32c", "crc32", "sha256"]]
ANY_REGION = ("ignored", "takes any region in the signature's scope", "exit code 0, expected 1")
ANY_OWNER = ("ignored", "knows no account ids: takes any expected owner", "exit code 0, expected 1")

LIMITATIONS = {
    "devstore": {
        "acl": ("unsupported", "keeps the ACL, but has no GetObjectAcl to ask for it", "NotImplemented"),
    },
    "SeaweedFS": {
        "refuses a wrong payload hash": (
            "ignored",
            "takes bodies whose SHA-256 is not the signed one",
            "taken with 200",
        ),
        "wrong region": ANY_REGION,
        "expected_bucket_owner": ANY_OWNER,
        "acl": ("ignored", "keeps no ACLs of objects", "has grants [(None, 'FULL_CONTROL')]"),
        "keys: //": (
            "unsupported",
            "keeps `a//b` as `a/b`: reading by key works, listings show one slash",
            "not in the listing",
        ),
    },
    "Ceph RGW": {
        "encryption AES256": (
            "ignored",
            "16.2 ignores SSE-S3: our check finds it out, and the export is refused",
            "is not encrypted",
        ),
        "refuses wrong checksums": ("ignored", "ignores the checksums of AWS: compares none", "taken with 200"),
        **{
            f"{name}, {kind}": ("ignored", "ignores the checksums of AWS: keeps none", "head has no Checksum")
            for name in CHECKSUMS
            for kind in ["one PUT", "multipart"]
        },
        "storage class": (
            "unsupported",
            "has the classes that its operator made, and no STANDARD_IA",
            "400 InvalidArgument",
        ),
        "tags, multipart": ("ignored", "16.2 drops the tags of multipart uploads", "has tags {}"),
        "expected_bucket_owner": ANY_OWNER,
        "wrong region": ANY_REGION,
    },
    "Garage": {
        "encryption AES256": (
            "ignored",
            "ignores SSE-S3: our check finds it out, and the export is refused",
            "is not encrypted",
        ),
        "checksum sha256, multipart": (
            "unsupported",
            "takes SHA-256 of single PUTs only",
            "Cannot specify x-amz-checksum-type",
        ),
        "if_none_match, one PUT": (
            "ignored",
            "knows no If-None-Match: overwrites",
            "exit code 0, expected 1",
        ),
        "storage class": ("ignored", "has no storage classes", "storage class is None"),
        "acl": ("unsupported", "has no ACLs of objects", "Unimplemented action"),
        "tags, one PUT": ("unsupported", "has no tags", "Unimplemented action"),
        "tags, multipart": ("unsupported", "has no tags", "Unimplemented action"),
        "expected_bucket_owner": ANY_OWNER,
        "wrong secret": ("unsupported", "answers AccessDenied `Invalid signature`", "Invalid signature"),
        "unknown access key": ("unsupported", "answers AccessDenied `No such key`", "No such key"),
        "a clock 20 minutes off": ("ignored", "takes requests of any time of the day", "looks at no clock"),
    },
}
