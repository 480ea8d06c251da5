"""What each store is known not to do, and why that is no fault of ours: feature by feature. A feature that works though it
stands here fails the suite, so that the list stays true."""

LIMITATIONS = {
    "devstore": {
        "tags": "keeps tags, but has no GetObjectTagging to ask for them",
    },
    "SeaweedFS": {
        "refuses a wrong payload hash": "takes bodies whose SHA-256 is not the signed one",
        "wrong region": "takes any region in the signature's scope",
        "keys: //": "keeps `a//b` as `a/b`: reading by key works, listings show one slash",
    },
    "Ceph RGW": {},
    "Garage": {},
}
