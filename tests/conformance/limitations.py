"""What each store is known not to do, and why that is no fault of ours: for each feature the reason, and words that its
failure must hold, so that nothing else hides behind it. A feature that works though it stands here fails the suite: the
list stays true."""

NO_TAGGING = ("keeps tags, but has no GetObjectTagging to ask for them", "NotImplemented")
NO_CHECKSUMS = "ignores the checksums of AWS: neither compared nor kept"
ANY_REGION = ("takes any region in the signature's scope", "exit code 0, expected 1")

LIMITATIONS = {
    "devstore": {
        "tags, one PUT": NO_TAGGING,
        "tags, multipart": NO_TAGGING,
    },
    "SeaweedFS": {
        "refuses a wrong payload hash": ("takes bodies whose SHA-256 is not the signed one", "taken with 200"),
        "wrong region": ANY_REGION,
        "keys: //": ("keeps `a//b` as `a/b`: reading by key works, listings show one slash", "not in the listing"),
    },
    "Ceph RGW": {
        "encryption AES256": ("16.2 ignores SSE-S3: stored, but not encrypted", "has encryption None"),
        "refuses a wrong checksum": (NO_CHECKSUMS, "taken with 200"),
        **{
            f"checksum {name}": (NO_CHECKSUMS, "PUT: the object's head has no Checksum")
            for name in ["crc64nvme", "crc32c", "crc32", "sha256"]
        },
        "if_none_match, multipart": (
            "16.2 honours If-None-Match on PutObject only: Complete overwrites",
            "exit code 0, expected 1",
        ),
        "storage class": ("has the classes that its operator made, and no STANDARD_IA", "400 InvalidArgument"),
        "tags, multipart": ("16.2 drops the tags of multipart uploads", "has tags {}"),
        "wrong region": ANY_REGION,
    },
    "Garage": {},
}
