"""Secrets in AWS beside other tools, and writes that are cut after any call: against AWS's stand-in."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support import moto_server
from tests.support.moto_server import CutAws

from resile.core.vocabulary import SecretStage
from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.providers.opening import open_provider

pytestmark = pytest.mark.xdist_group("moto")
PENDING = SecretStage.PENDING
THEIRS = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1"


@pytest.fixture(scope="module")
def shared(aws_endpoint: str) -> CutAws:
    return moto_server.aws(aws_endpoint, kind=CutAws)


@pytest.fixture
def provider(shared: CutAws) -> AwsProvider:
    shared.left, shared.is_answer_lost = float("inf"), False
    return AwsProvider(shared, prefix=f"{moto_server.own_name('test')}/")


@pytest.fixture
def boto(provider: AwsProvider) -> Any:
    """Another tool's client."""
    return provider.aws.client("secretsmanager")


def seen(provider: AwsProvider) -> dict[str, str]:
    """Give what another tool sees: the value of each stage."""
    client, found = provider.aws.client("secretsmanager"), {}
    for stage in ("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"):
        try:
            answer = client.get_secret_value(SecretId=provider.remote_name("a"), VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            continue
        found[stage] = answer["SecretString"]
    return found


def test_names_are_those_below_the_prefix_without_it(provider: AwsProvider, boto: Any) -> None:
    for remote in ("a", "b/c", "not a name", "-neither"):
        boto.create_secret(Name=provider.remote_name(remote), SecretString="x")
    boto.create_secret(Name=moto_server.own_name("another"), SecretString="x")

    assert provider.names() == ("a", "b/c")


def test_other_tools_see_the_stages_that_they_know(provider: AwsProvider) -> None:
    for value in (b"one", b"two"):
        provider.write("a", value, token=value.decode())
    provider.write("a", b"three", stage=PENDING, token="three")

    assert seen(provider) == {"AWSCURRENT": "two", "AWSPREVIOUS": "one", "AWSPENDING": "three"}

    provider.promote("a", token="three", expect=None)

    assert seen(provider) == {"AWSCURRENT": "three", "AWSPREVIOUS": "two"}


def test_what_another_tool_has_put_is_read(provider: AwsProvider, boto: Any) -> None:
    remote = provider.remote_name("a")
    boto.create_secret(Name=remote, SecretBinary=b"\x00\xff", ClientRequestToken=THEIRS)

    assert provider.read("a").reveal_bytes() == b"\x00\xff"
    assert [one.number for one in provider.history("a")] == [THEIRS]
    assert provider.read("a", version=THEIRS).created_at is not None
    assert provider.write("a", b"mine", expect=THEIRS, token="t").stage is SecretStage.CURRENT


def test_a_secret_without_any_version_can_be_written(provider: AwsProvider, boto: Any) -> None:
    for stage in (SecretStage.CURRENT, PENDING):
        boto.create_secret(Name=provider.remote_name(stage.value))

        provider.write(stage.value, b"one", stage=stage, expect="", token="t")

        assert provider.read(stage.value, version=stage.value).reveal() == "one"


def test_a_half_done_rotation_of_another_tool_is_a_conflict_that_says_what_to_do(
    provider: AwsProvider, boto: Any
) -> None:
    provider.write("a", b"one", token="one")
    boto.put_secret_value(
        SecretId=provider.remote_name("a"),
        SecretString="theirs",
        ClientRequestToken=THEIRS,
        VersionStages=["AWSPENDING"],
    )

    with pytest.raises(SecretConflictError, match="half done") as caught:
        provider.write("a", b"two", stage=PENDING, token="two")

    assert f"--remove-from-version-id {THEIRS}" in caught.value.hint
    assert seen(provider) == {"AWSCURRENT": "one", "AWSPENDING": "theirs"}


def test_a_label_that_another_tool_left_on_its_finished_rotation_is_no_candidate(
    provider: AwsProvider, boto: Any
) -> None:
    boto.create_secret(
        Name=provider.remote_name("a"), SecretString="one", ClientRequestToken=THEIRS
    )
    boto.update_secret_version_stage(
        SecretId=provider.remote_name("a"), VersionStage="AWSPENDING", MoveToVersionId=THEIRS
    )

    with pytest.raises(UnknownSecretError):
        provider.read("a", version="pending")
    provider.write("a", b"two", stage=PENDING, token="two")
    provider.promote("a", token="two", expect=THEIRS)

    assert seen(provider) == {"AWSCURRENT": "two", "AWSPREVIOUS": "one"}


def test_a_secret_that_is_marked_for_deletion_is_given_to_nobody(
    provider: AwsProvider, boto: Any
) -> None:
    provider.write("a", b"one", token="one")
    boto.delete_secret(SecretId=provider.remote_name("a"), RecoveryWindowInDays=7)

    with pytest.raises(SecretRevokedError) as caught:
        provider.read("a")

    assert "restore-secret" in caught.value.hint
    assert provider.names() == ()


def test_what_was_previous_stays_so_when_the_current_version_is_destroyed(
    provider: AwsProvider,
) -> None:
    provider.write("a", b"one", token="one")
    second = provider.write("a", b"two", token="two")

    for version in ("current", second.number, "current"):
        provider.destroy("a", version)

    assert provider.read("a", version="previous").reveal() == "one"
    assert "two" not in seen(provider).values()
    with pytest.raises(SecretRevokedError):
        provider.read("a")
    assert [one.stage.value for one in provider.history("a")] == ["retired", "previous"]


def test_what_was_written_and_retired_is_not_made_current_again_by_its_token(
    provider: AwsProvider,
) -> None:
    first = provider.write("a", b"one", token="one")
    for value in (b"two", b"three"):
        provider.write("a", value, token=value.decode())

    again = provider.write("a", b"one", token="one")

    assert (again.number, again.stage) == (first.number, SecretStage.RETIRED)
    assert provider.read("a").reveal() == "three"


def test_a_candidate_is_not_written_as_the_current_version(provider: AwsProvider) -> None:
    provider.write("a", b"one", stage=PENDING, token="one")

    with pytest.raises(SecretConflictError):
        provider.write("a", b"one", token="one")


def test_check_tells_of_nothing_while_aws_answers(provider: AwsProvider) -> None:
    provider.check()

    provider.aws.left = 0
    with pytest.raises(ProviderDownError):
        provider.check()


def test_it_is_opened_as_the_configuration_says(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto_server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    table = {"region": "us-east-1", "endpoint": aws_endpoint, "prefix": moto_server.own_name("p")}

    provider = open_provider({"provider": "aws", "aws": table}, environ={})

    assert provider.kind == "aws"
    provider.write("a", b"one", token="one")
    assert provider.read("a").reveal() == "one"
    assert provider.names() == ("a",)
    assert [one.about for one in provider.examine()] == ["aws"]
    assert abs(provider.clock_skew_s() or 100) < 30
    provider.close()


def _start_current(provider: AwsProvider) -> None:
    provider.write("a", b"one", token="one")


def _start_candidate(provider: AwsProvider) -> None:
    _start_current(provider)
    provider.write("a", b"two", stage=PENDING, token="two")


def _start_two(provider: AwsProvider) -> None:
    _start_current(provider)
    provider.write("a", b"two", token="two")


CUTS: dict[str, tuple[Callable[[AwsProvider], None], Callable[[AwsProvider], object], Any]] = {
    "first write": (
        lambda _: None,
        lambda p: p.write("a", b"one", expect="", token="one"),
        {"AWSCURRENT": "one"},
    ),
    "write": (
        _start_current,
        lambda p: p.write("a", b"two", expect=p.history("a")[-1].number, token="two"),
        {"AWSCURRENT": "two", "AWSPREVIOUS": "one"},
    ),
    "candidate": (
        _start_current,
        lambda p: p.write("a", b"two", stage=PENDING, token="two"),
        {"AWSCURRENT": "one", "AWSPENDING": "two"},
    ),
    "promote": (
        _start_candidate,
        lambda p: p.promote("a", token="two", expect=p.history("a")[-1].number),
        {"AWSCURRENT": "two", "AWSPREVIOUS": "one"},
    ),
    "discard": (
        _start_candidate,
        lambda p: p.discard("a", token="two"),
        {"AWSCURRENT": "one"},
    ),
    "destroy previous": (
        _start_two,
        lambda p: p.destroy("a", p.history("a")[-1].number),
        {"AWSCURRENT": "two"},
    ),
}


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["not done", "done, answer lost"])
@pytest.mark.parametrize("what", CUTS)
def test_a_change_that_is_cut_anywhere_is_whole_when_it_is_made_again(
    provider: AwsProvider, what: str, is_answer_lost: bool
) -> None:
    start, use, wanted = CUTS[what]
    aws, prefix = provider.aws, provider.remote_name("")
    for calls in range(20):
        provider = AwsProvider(aws, prefix=f"{prefix}{calls}/")
        start(provider)
        aws.left, aws.is_answer_lost = calls, is_answer_lost
        try:
            use(provider)
        except ProviderDownError:
            is_cut = True
        else:
            is_cut = False
        aws.left = float("inf")
        use(provider)

        assert seen(provider) == wanted, f"cut after {calls} calls"
        if not is_cut:
            break
    else:
        raise AssertionError("it makes more calls than it should")
