"""A new bucket for each test, on the server that plays AWS."""

import uuid
from typing import Any

from tests.support import moto_server
from tests.support.moto_server import ENVIRONMENT, KEY_ID, REGION, SECRET

__all__ = ["ENVIRONMENT", "KEY_ID", "SECRET", "client", "new_bucket", "why_not"]


def why_not() -> str:
    """Tell what is missing; empty if nothing is."""
    return moto_server.why_not("obstore")


def client(endpoint: str) -> Any:
    """Give boto3's client, as somebody else who uses the bucket."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )


def new_bucket(endpoint: str) -> str:
    """Make a bucket; give its name."""
    name = f"bucket-{uuid.uuid4().hex}"
    client(endpoint).create_bucket(Bucket=name)
    return name
