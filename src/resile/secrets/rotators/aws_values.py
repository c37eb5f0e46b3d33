"""What the rotators for AWS share: values that are JSON objects, and AWS as their provider sees it."""

import json
from typing import Any

from resile.clients.aws import Aws
from resile.core.clock import Clock
from resile.secrets.port import Provider
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.value import Secret


def aws_of(provider: Provider, clock: Clock) -> Aws:
    """Give AWS as the provider sees it; where that is another one, as boto3 finds it by itself.

    Raises:
        MissingExtraError: If boto3 is not installed.
    """
    return provider.aws if isinstance(provider, AwsProvider) else Aws(clock=clock)


def object_of(secret: Secret | None) -> dict[str, Any]:
    """Give the fields of a value that is a JSON object; none of what is something else, or not there."""
    return {} if secret is None else fields_in(secret.reveal_bytes())


def fields_in(value: bytes) -> dict[str, Any]:
    """Give the fields of a JSON object; none of what is something else."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text_of(secret: Secret | None, key: str) -> str:
    """Give a field that is text; empty if there is none."""
    found = object_of(secret).get(key, "")
    return found if isinstance(found, str) else ""


def value_of(fields: dict[str, Any]) -> bytes:
    """Write fields as the value of a secret."""
    return json.dumps(fields, ensure_ascii=False).encode()
