"""An S3 server over real HTTP on a free port of the loopback, with a new bucket for each test."""

import importlib.util
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def why_not() -> str:
    """Tell what is missing; empty if nothing is."""
    missing = [name for name in ("moto", "boto3", "obstore") if not importlib.util.find_spec(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server; give its endpoint."""
    from moto.server import ThreadedMotoServer

    with patch.dict(os.environ, ENVIRONMENT):
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def client(endpoint: str) -> Any:
    """Give boto3's client, as somebody else who uses the bucket."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )


def new_bucket(endpoint: str) -> str:
    """Make a bucket; give its name."""
    name = f"bucket-{uuid.uuid4().hex}"
    client(endpoint).create_bucket(Bucket=name)
    return name
