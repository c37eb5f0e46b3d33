"""Change the login of the policy database: `resile` calls `python -m agent_runtime.rotate STEP`.

The steps are those of `rotator = { kind = "command" }`; each gets the turn as JSON on its standard input.
Two users take turns: while one is in use the other gets a new password, and the one before it is
removed when nobody uses it any more. The secret is `{"username": NAME, "password": TEXT}`.
"""

import json
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

from agent_runtime.logins import Logins
from agent_runtime.policy import DatabaseError, read_rules
from agent_runtime.settings import Settings, from_environment

USERS = ("policy_a", "policy_b")
PASSWORD_BYTES = 32
LOGIN_TIMEOUT_S = 2.0
START_S = 5.0
"""A database that has just been started listens within this time."""

Login = Mapping[str, str]


def prepare(before: Login | None, _after: Login | None, _settings: Settings) -> None:
    """Print a password for the user whose turn it is. Nothing is changed yet."""
    user = USERS[1] if before is not None and before["username"] == USERS[0] else USERS[0]
    print(json.dumps({"username": user, "password": secrets.token_urlsafe(PASSWORD_BYTES)}))


def set_login(_before: Login | None, after: Login, settings: Settings) -> None:
    """Let the other user in, beside the one before it."""
    Logins(settings.logins).set(after["username"], after["password"])


def verify(_before: Login | None, after: Login, settings: Settings) -> None:
    """Ask for the policies, as the dispatcher does."""
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            read_rules(
                settings.database_socket,
                user=after["username"],
                password=after["password"],
                timeout_s=LOGIN_TIMEOUT_S,
            )
        except (ConnectionRefusedError, FileNotFoundError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
        else:
            return


def retire(before: Login | None, _after: Login | None, settings: Settings) -> None:
    """Remove the user before it."""
    if before is not None:
        Logins(settings.logins).remove(before["username"])


def abort(_before: Login | None, after: Login | None, settings: Settings) -> None:
    """Remove the user that was to be next; the one that is in use is another one."""
    if after is not None:
        Logins(settings.logins).remove(after["username"])


STEPS: Mapping[str, Any] = {
    "prepare": prepare,
    "set": set_login,
    "verify": verify,
    "retire": retire,
    "abort": abort,
}


def main() -> None:
    """Do one step.

    Raises:
        SystemExit: If it could not be done; `resile` reads why on the standard output.
    """
    turn = json.load(sys.stdin)
    before, after = (
        None if one is None else json.loads(one["value"]) for one in (turn["before"], turn["after"])
    )
    try:
        STEPS[sys.argv[1]](before, after, from_environment())
    except (DatabaseError, OSError, ValueError) as exc:
        print(f"resile: the policy database: {exc}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
