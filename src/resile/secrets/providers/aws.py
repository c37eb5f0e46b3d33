"""The provider `aws`: secrets in AWS Secrets Manager, with its own stages.

A version is current by AWSCURRENT, previous by AWSPREVIOUS and a candidate by AWSPENDING, so that other
tools of AWS see the same. Labels move by compare-and-set. AWS keeps the values of versions without a label
until it sweeps them: this provider gives them to nobody any more, and whoever may call AWS still can read
them by their id. So destroying here means: taken out of use, not erased.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from resile.clients.aws import (
    CURRENT,
    PENDING,
    PREVIOUS,
    Aws,
    AwsPlace,
    SecretsManager,
    StoredVersion,
)
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SecretStage
from resile.errors import SecretConflictError, SecretRevokedError, UnknownSecretError
from resile.secrets.advice import Advice
from resile.secrets.checking import need_name, need_write, unknown_secret, unknown_version
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.providers.aws_examining import examined_login
from resile.secrets.providers.aws_shelf import AwsShelf, Versions
from resile.secrets.providers.aws_versions import (
    INDEX_MAX,
    LABELS,
    NOTHING_YET,
    WRITING,
    candidate,
    current_number,
    index_of,
    is_marker,
    is_number,
    labelled,
    number_of,
    of_token,
    stage_of,
    told,
)
from resile.secrets.providers.stages import revoked
from resile.secrets.value import Secret

_NAMES_MAX = 10_000
_PROBE = "resile-probe"
"""A secret that need not exist: asking for it needs no more permission than asking for others."""


class AwsProvider:
    """Secrets in AWS Secrets Manager. Safe to share between threads. Opens nothing until it is used.

    Args:
        aws: What to call through.
        prefix: What the names begin with at AWS.

    Raises:
        MissingExtraError: If boto3 is not installed.
    """

    kind: Final = "aws"
    abilities: Final = Abilities(has_versions=True, can_write=True, is_remote=True)

    def __init__(self, aws: Aws, *, prefix: str = "") -> None:
        self.aws = aws
        self._prefix = prefix
        self._secrets = SecretsManager(aws)

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: object = None,  # noqa: ARG003 - every provider is opened with the same
        environ: object = None,  # noqa: ARG003
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """Open what the table `[secrets]` says.

        Args:
            settings: The table, as plain data; its `aws` counts.
            state: Nothing is kept on this machine.
            environ: boto3 looks for credentials itself, in the process's own environment.
            clock: Measures pauses.
        """
        table = settings.get("aws") or {}
        place = AwsPlace(region=table.get("region", ""), endpoint=table.get("endpoint", ""))
        return cls(Aws(place, clock=clock), prefix=table.get("prefix", ""))

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret."""
        label = LABELS.get(version, "")
        shelf = self._shelf(name)
        if not label and not is_number(version):
            raise unknown_version(name, version)
        try:
            found = shelf.get(label=label, number="" if label else version)
        except UnknownSecretError:
            if label == PREVIOUS and _has_lost(shelf.versions()):
                raise revoked(name, version) from None
            raise
        number, stage = found.version.number, stage_of(found.version)
        if number == NOTHING_YET or (label and LABELS.get(stage) != label):
            raise unknown_version(name, version)
        if stage is SecretStage.RETIRED or is_marker(number):
            raise revoked(name, version)
        return Secret(name, number, found.value, stage=stage, created_at=found.version.created_at)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions that AWS still has, the newest first."""
        versions = self._shelf(name).versions()
        found = tuple(told(one) for one in versions if not is_marker(one.number))
        if not found:
            raise unknown_secret(name)
        return found

    def names(self) -> tuple[str, ...]:
        """Give the names below the prefix that could be ours, sorted; at most 10,000."""
        remote = self._secrets.names(self._prefix)
        names = (name.removeprefix(self._prefix) for name in remote)
        return tuple(sorted(name for name in names if is_secret_name(name)))[:_NAMES_MAX]

    def write(
        self,
        name: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        expect: str | None = None,
        token: str,
    ) -> Version:
        """Write a new version, as the current one or as the candidate."""
        need_write(name, value, stage=stage, token=token)
        shelf = self._shelf(name)
        versions = shelf.settled(
            lambda found: (
                expect in (None, current_number(found)) or of_token(found, token) is not None
            )
        )
        mine = of_token(versions, token)
        if mine is not None:
            known = stage_of(mine)
            if known in (SecretStage.CURRENT, SecretStage.PREVIOUS):
                return self._repeat(shelf, value, mine)
            if known is not stage and known is SecretStage.PENDING:
                raise shelf.conflict("was written with this token before, as something else")
            is_cut = WRITING in mine.stages
            if stage is SecretStage.CURRENT and known is SecretStage.RETIRED and not is_cut:
                return told(mine)
        if stage is SecretStage.PENDING:
            return self._write_candidate(shelf, versions, value, expect, token)
        return self._write_current(shelf, versions, value, expect, token)

    def promote(self, name: str, *, token: str, expect: str | None) -> Version:
        """Make the candidate of this token the current version, and take AWSPENDING from it."""
        shelf = self._shelf(name)
        mine = of_token(shelf.settled(lambda found: of_token(found, token) is not None), token)
        if mine is None or stage_of(mine) is SecretStage.RETIRED:
            raise UnknownSecretError(
                f"secret {name!r} has no candidate of this rotation",
                hint=f"see what it has: resile secrets history {name}",
            )
        if stage_of(mine) is SecretStage.PENDING:
            mine = shelf.make_current(mine.number, expect)
        if PENDING in mine.stages:
            shelf.unlabel(mine.number, PENDING)
        return told(mine)

    def discard(self, name: str, *, token: str) -> None:
        """Take the candidate of this token out of use."""
        shelf = self._shelf(name)
        mine = of_token(shelf.settled(lambda found: of_token(found, token) is not None), token)
        if mine is not None and stage_of(mine) is SecretStage.PENDING:
            shelf.unlabel(mine.number, PENDING)

    def destroy(self, name: str, version: str) -> None:
        """Take a version out of use for good; AWS sweeps its value when it likes to."""
        shelf = self._shelf(name)
        versions = shelf.versions()
        if not versions:
            raise unknown_secret(name)
        found = next((one for one in versions if _is(one, version)), None)
        if found is None or found.number == NOTHING_YET:
            raise unknown_version(name, version)
        if is_marker(found.number):
            return
        left = found.stages
        if CURRENT in left:
            shelf.take_from_current(found, labelled(versions, PREVIOUS))
            left -= {CURRENT, PREVIOUS}
        for label in sorted(left):
            shelf.unlabel(found.number, label)

    def check(self) -> None:
        """Ask for a secret that need not exist."""
        try:
            self._secrets.describe(self.remote_name(_PROBE))
        except (UnknownSecretError, SecretRevokedError):
            return

    def examine(self) -> tuple[Advice, ...]:
        """Look at the credentials: whether there are some, and whether they renew themselves."""
        return examined_login(self.aws.login(), self.aws.clock.now())

    def clock_skew_s(self) -> float | None:
        """Tell how many seconds AWS's clock is ahead of ours."""
        return self.aws.clock_skew_s()

    def close(self) -> None:
        """Close the connections."""
        self.aws.close()

    def remote_name(self, name: str) -> str:
        """Tell what a secret is called at AWS."""
        return self._prefix + name

    def _shelf(self, name: str) -> AwsShelf:
        need_name(name)
        return AwsShelf(
            name=name,
            remote=self.remote_name(name),
            secrets=self._secrets,
            clock=self.aws.clock,
        )

    def _repeat(self, shelf: AwsShelf, value: bytes, mine: StoredVersion) -> Version:
        """Write a version again, which does nothing if it has this value."""
        try:
            shelf.put(value, mine.number, WRITING)
        except SecretConflictError:
            raise shelf.conflict("was written with this token before, as something else") from None
        if WRITING in mine.stages:
            shelf.unlabel(mine.number, WRITING)
        return told(mine)

    def _write_candidate(
        self, shelf: AwsShelf, versions: Versions, value: bytes, expect: str | None, token: str
    ) -> Version:
        mine, pending = of_token(versions, token), candidate(versions)
        if pending is not None and pending is not mine:
            raise shelf.conflict(
                f"has a candidate of somebody else, {pending.number}: a rotation is half done",
                "let its tool finish, or give it up: aws secretsmanager update-secret-version-stage "
                f"--secret-id {shelf.remote} --version-stage {PENDING} "
                f"--remove-from-version-id {pending.number}",
            )
        shelf.expect(versions, expect)
        if labelled(versions, CURRENT) is None:
            shelf.begin()
        index = 0 if mine is None else index_of(mine.number) + (mine is not pending)
        while True:
            try:
                return told(shelf.put(value, number_of(token, index), PENDING))
            except SecretConflictError:
                # This token has another value already, which AWS never changes.
                if index >= INDEX_MAX:
                    raise
            index += 1

    def _write_current(
        self, shelf: AwsShelf, versions: Versions, value: bytes, expect: str | None, token: str
    ) -> Version:
        shelf.expect(versions, expect)
        mine = of_token(versions, token)
        number = mine.number if mine else number_of(token, 0)
        if not versions and shelf.create(value, number):
            return Version(number=number, stage=SecretStage.CURRENT, token=token)
        return told(shelf.put_current(value, number, expect))


def _is(one: StoredVersion, version: str) -> bool:
    return version == one.number or (version in LABELS and version == stage_of(one))


def _has_lost(versions: Versions) -> bool:
    """Tell whether there was a version that now has no stage any more."""
    current = labelled(versions, CURRENT)
    has_begun = current is not None and current.number != NOTHING_YET
    return has_begun and any(
        stage_of(one) is SecretStage.RETIRED and not is_marker(one.number) for one in versions
    )
