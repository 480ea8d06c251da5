"""The store by boto3, for tools that cannot write to it themselves."""

import boto3
import botocore.config


def client(store):
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        # No checksums besides the signed hash of each body, as everybody sends them here.
        config=botocore.config.Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        ),
    )
