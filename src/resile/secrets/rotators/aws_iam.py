"""Rotate the access key of an IAM user: two keys side by side, which is all that IAM allows.

The secret is a JSON object with `user`, `access_key_id`, `secret_access_key`, and the id of the key that it
replaces; what else it has is kept.
IAM tells the secret of a key only when it makes it. A rotation that was cut right after that finds a key
that nobody can use, removes it and makes another one.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Self

from resile.clients.aws import AccessKey, Aws, AwsKeys, Iam, whose
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.ids import made_at
from resile.core.log_line import log_line
from resile.core.vocabulary import RotationReason
from resile.errors import OperationError, SecretConflictError, SecretDeniedError, UnknownSecretError
from resile.secrets.model import Turn
from resile.secrets.port import Provider
from resile.secrets.rotators.aws_values import aws_of, object_of, text_of, value_of

logger = logging.getLogger(__name__)

KEY_ID, SECRET_KEY = "access_key_id", "secret_access_key"
_REPLACES = "replaces_access_key_id"
"""The old key, so that it can be closed even when nobody can read its secret any more."""
_KEYS_MAX = 2
"""IAM's limit for a user; it cannot be raised."""
_CLOCKS_APART = timedelta(minutes=5)
"""AWS takes no request of a machine whose clock is further off."""
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Until a new key is known everywhere; IAM takes some ten seconds at worst."""

Login = Callable[[AwsKeys], str]
"""Tells whose keys these are, as an ARN."""


class AwsIamRotator:
    """Changes the access key of a user. Safe to share between threads.

    Args:
        user: The user's name.
        iam: What to call through.
        login: Uses a key. Raises SecretDeniedError while AWS does not know it.
        clock: Measures the pauses until a new key is known.
    """

    kind: Final = "aws-iam"
    has_overlap: Final = True

    def __init__(self, user: str, *, iam: Iam, login: Login, clock: Clock = SYSTEM_CLOCK) -> None:
        self._user = user
        self._iam = iam
        self._login = login
        self._clock = clock

    @classmethod
    def open(
        cls, settings: Mapping[str, Any], *, provider: Provider, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Open what the table `rotator` says.

        Args:
            settings: The table; its `user` counts.
            provider: Says where AWS is, if it is AWS.
            clock: Measures pauses.
        """
        aws = aws_of(provider, clock)
        return cls(settings["user"], iam=Iam(aws), login=_login_at(aws), clock=clock)

    @property
    def target(self) -> str:
        """The user: no two rotations may change the keys of one."""
        return f"iam-user/{self._user}"

    def prepare(self, turn: Turn) -> bytes:
        """Make a key, in the place of one that nobody uses if there are two.

        Raises:
            SecretConflictError: If the second one is in use elsewhere.
        """
        current = _old(turn)
        keys = self._without_leftovers(turn, current)
        self._make_room(keys, current)
        made = self._iam.create(self._user)
        fields = {
            "user": self._user,
            KEY_ID: made.key_id,
            SECRET_KEY: made.secret,
            _REPLACES: current,
        }
        return value_of({**object_of(turn.before), **fields})

    def set(self, turn: Turn) -> None:
        """Let the new key open what the user may; somebody may have closed it meanwhile."""
        self._iam.set_active(self._user, _candidate(turn).key_id, is_active=True)

    def verify(self, turn: Turn) -> None:
        """Use the new key, and again for a while until AWS knows it everywhere.

        Raises:
            OperationError: If it is not known after 15 s, or is another user's.
        """
        keys = _candidate(turn)
        arn = self._known_as(keys)
        if arn.rpartition("/")[2] != self._user:
            raise OperationError(
                f"access key {keys.key_id} is of {arn}, not of user {self._user!r}",
                hint="check the account and the endpoint in [secrets.aws]",
            )

    def retire(self, turn: Turn) -> None:
        """Close the old key, and delete it if nobody has used it since the new one was made.

        One that was used until now stays, closed, until the next rotation: whoever still needs it can
        be helped at once. On a compromise it is deleted whatever it is.
        """
        key_id = _old(turn)
        if not key_id or key_id == text_of(turn.after, KEY_ID):
            return
        try:
            self._iam.set_active(self._user, key_id, is_active=False)
        except UnknownSecretError:
            return  # Somebody has deleted it.
        if turn.reason is RotationReason.COMPROMISE or not self._was_used_since(turn, key_id):
            self._iam.delete(self._user, key_id)

    def abort(self, turn: Turn) -> None:
        """Delete the new key, and what a cut attempt to make it has left."""
        current, candidate = _old(turn), text_of(turn.after, KEY_ID)
        if candidate and candidate != current:
            self._iam.delete(self._user, candidate)
        self._without_leftovers(turn, current)

    def _without_leftovers(self, turn: Turn, current: str) -> Sequence[AccessKey]:
        """Delete keys that this rotation made before it was cut; give those that are left."""
        began_at = made_at(turn.rotation_id)
        left = []
        for key in self._iam.keys(self._user):
            is_new = began_at is not None and key.created_at > began_at - _CLOCKS_APART
            if key.key_id != current and is_new and self._iam.last_use(key.key_id).at is None:
                self._iam.delete(self._user, key.key_id)
            else:
                left.append(key)
        return left

    def _make_room(self, keys: Sequence[AccessKey], current: str) -> None:
        others = [key for key in keys if key.key_id != current]
        if len(keys) < _KEYS_MAX:
            return
        closed = next((key for key in others if not key.is_active), None)
        if closed is None:
            listed = " and ".join(key.key_id for key in others)
            raise SecretConflictError(
                f"user {self._user!r} has no room for a new access key: {listed} opens something, "
                "and is not the one that is kept here",
                hint="find out who uses it: aws iam get-access-key-last-used --access-key-id ID; "
                "then delete it, or close it",
            )
        self._iam.delete(self._user, closed.key_id)

    def _known_as(self, keys: AwsKeys) -> str:
        for pause_s in _PAUSES_S:
            try:
                return self._login(keys)
            except SecretDeniedError:
                self._clock.sleep(pause_s)
        return self._login(keys)

    def _was_used_since(self, turn: Turn, key_id: str) -> bool:
        made = turn.after.created_at if turn.after else None
        last = self._iam.last_use(key_id)
        if last.at is None or (made is not None and last.at < made):
            return False
        fields: dict[str, object] = {
            "user": self._user,
            "key": key_id,
            "last_used_at": last.at.isoformat(),
            "service": last.service,
        }
        logger.info(log_line("iam.old_key_kept_closed", fields), extra=fields)
        return True


def _old(turn: Turn) -> str:
    """Give the id of the key that is to be replaced; empty if there is none."""
    return text_of(turn.before, KEY_ID) or text_of(turn.after, _REPLACES)


def _candidate(turn: Turn) -> AwsKeys:
    if turn.after is None:
        raise AssertionError(f"rotation {turn.rotation_id} has no candidate yet")
    return AwsKeys(key_id=turn.after.field(KEY_ID), secret=turn.after.field(SECRET_KEY))


def _login_at(aws: Aws) -> Login:
    def login(keys: AwsKeys) -> str:
        own = aws.of(keys)
        try:
            return whose(own)
        finally:
            own.close()

    return login
