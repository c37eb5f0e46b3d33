"""AWS over real HTTP on a free port of the loopback: moto's server, once for all tests of a worker.

Tests share what is in it, so each one takes names of its own. Tests that use it belong to one group:
`pytest.mark.xdist_group("moto")`. What moto does otherwise than AWS:

- the first of several writes with one ClientRequestToken is overwritten while it has AWSPENDING; AWS
  refuses another value;
- after `update_secret_version_stage` a `put_secret_value` of AWSCURRENT leaves two current versions;
- a value is put to a secret that is marked for deletion;
- a disabled key of KMS encrypts and decrypts; each rotation on demand is finished at once;
- unknown access keys are taken, an inactive one too; nothing is throttled, nothing lags.

For these there are tests with botocore's Stubber and the shapes that AWS documents. Mended here, since all
else builds on it: `list_secret_version_ids` fails for an unknown secret, and tells the time of the question
as CreatedDate.
"""

import functools
import importlib.util
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from resile.clients.aws import Aws, AwsKeys, AwsPlace
from resile.core.clock import Clock
from resile.errors import ProviderDownError
from resile.testing import FakeClock

AnyAws = TypeVar("AnyAws", bound=Aws)
REGION = "us-east-1"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def why_not(*more: str) -> str:
    """Tell what is missing of moto, boto3 and some more; empty if nothing is."""
    missing = [name for name in ("moto", "boto3", *more) if not importlib.util.find_spec(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def aws_server() -> Iterator[str]:
    """Start a server; give its endpoint."""
    from moto.secretsmanager.models import SecretsManagerBackend
    from moto.server import ThreadedMotoServer

    mended = patch.object(SecretsManagerBackend, "list_secret_version_ids", _list_versions)
    with patch.dict(os.environ, ENVIRONMENT), mended:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def _list_versions(backend: Any, secret_id: str) -> str:
    from moto.secretsmanager.exceptions import SecretNotFoundException

    if secret_id not in backend.secrets:
        raise SecretNotFoundException
    secret = backend.secrets[secret_id]
    versions = [
        {
            "VersionId": number,
            "VersionStages": version["version_stages"],
            "CreatedDate": version["createdate"],
        }
        for number, version in list(secret.versions.items())
    ]
    return json.dumps({"ARN": secret.arn, "Name": secret.name, "Versions": versions})


class CutAws(Aws):
    """AWS that is away after some calls; the last one may be done, with its answer lost."""

    left: float = float("inf")
    """So many calls are still answered."""
    is_answer_lost = False
    """The first one beyond is done all the same."""
    error: BaseException = ProviderDownError("cut")

    def call(self, *args: Any, **options: Any) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0 and not (self.is_answer_lost and self.left == -1):
            raise self.error
        answer = super().call(*args, **options)
        if self.left < 0:
            raise self.error
        return answer


class SharedAws(Aws):
    """AWS for many tests: its clients take long to make, and stay."""

    def close(self) -> None:
        """Keep all."""


@functools.cache
def shared_aws(endpoint: str) -> SharedAws:
    """Give the one of a session."""
    return aws(endpoint, kind=SharedAws)


def aws(endpoint: str, clock: Clock | None = None, kind: type[AnyAws] = Aws) -> AnyAws:
    """Give AWS as one user sees it; its pauses take no time."""
    return kind(
        AwsPlace(region=REGION, endpoint=endpoint),
        keys=AwsKeys(key_id=KEY_ID, secret=SECRET),
        clock=clock or FakeClock(),
    )


def own_name(kind: str) -> str:
    """Make a name that no other test has."""
    return f"{kind}-{uuid.uuid4().hex[:16]}"
