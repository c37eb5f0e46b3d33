"""In which order everything is rotated when an account may be in other hands."""

import re
from pathlib import Path
from typing import Any

from resile.secrets.rotators.aws_compromise import compromise_plan

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "secrets-on-aws.md"


def table(kind: str = "", **options: Any) -> dict[str, Any]:
    return {"rotator": {"kind": kind} if kind else None, **options}


def test_access_keys_go_first_and_keys_of_kms_second() -> None:
    plan = compromise_plan(
        {
            "app/key": table("random"),
            "db": table("aws-database"),
            "kms/data": table("aws-kms"),
            "z/uploader": table("aws-iam"),
        }
    )

    assert plan.rotate == ("z/uploader", "kms/data", "app/key", "db")
    assert plan.by_hand == plan.restart == ()


def test_what_nothing_rotates_is_named_and_canaries_are_left() -> None:
    plan = compromise_plan({"partner/key": table(), "trap": table(canary=True)})

    assert plan.rotate == ()
    assert plan.by_hand == ("partner/key",)


def test_services_that_read_a_value_when_they_start_are_started_anew() -> None:
    plan = compromise_plan(
        {
            "a": table("random", deliver="env", services=("web", "api")),
            "b": table("random", deliver="env", services=["web"]),
            "c": table("random", deliver="api", services=("worker",)),
            "d": table(deliver="env", services=("other",)),
        }
    )

    assert plan.restart == ("api", "web")


def test_the_example_of_the_page_works() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    exec(compile(block, PAGE.name, "exec"), {})
