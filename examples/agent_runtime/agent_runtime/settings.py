"""Where everything listens and lies. The environment overrides each default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
HOME = Path(__file__).parents[1]
BODY_BYTES_MAX = 1 << 20
"""The longest request: a script and its inputs together."""
POLICY_LOGIN = "db/policy"
REASONER_KEY = "api/reasoner"
"""The secrets, as `resile.toml` calls them."""
MESSAGE_BYTES_MAX = 4 << 20
"""The longest message between our own processes: escaping can make a request three times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The choices of one process.

    Args:
        dispatcher_port: AGENT_RUNTIME_DISPATCHER_PORT; 0 takes a free one and logs which.
        reasoner_port: AGENT_RUNTIME_REASONER_PORT; as above.
        outside_port: AGENT_RUNTIME_OUTSIDE_PORT; as above.
        data: AGENT_RUNTIME_DATA. Relative by default, which keeps the paths of sockets short.
    """

    dispatcher_port: int = 8481
    reasoner_port: int = 8482
    outside_port: int = 8483
    data: Path = Path("data")

    @property
    def scanner_socket(self) -> Path:
        """Where the scanner listens."""
        return self.data / "run" / "scanner.sock"

    @property
    def database_socket(self) -> Path:
        """Where the policy database listens."""
        return self.data / "run" / "database.sock"

    @property
    def policy_db(self) -> Path:
        """Which agents may do what; the policy database's own."""
        return self.data / "policy" / "policy.db"

    @property
    def logins(self) -> Path:
        """Who may log in at the policy database. Apart from it: an old state brings back no password."""
        return self.data / "database" / "logins.json"

    @property
    def knowledge(self) -> Path:
        """The files that scripts read and change; each script starts in this folder."""
        return self.data / "knowledge"

    @property
    def outbox(self) -> Path:
        """Reports that the outside does not have yet."""
        return self.data / "dispatcher" / "outbox.db"

    @property
    def degradation(self) -> Path:
        """Where the dispatcher remembers what it works without."""
        return self.data / "dispatcher"

    @property
    def reports(self) -> Path:
        """What the outside was told."""
        return self.data / "outside" / "reports.jsonl"

    @property
    def runs(self) -> Path:
        """One short-lived folder for each script that runs."""
        return self.data / "runs"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        SystemExit: With a message, if a port is not a number from 0 to 65535.
    """
    defaults = Settings()
    return Settings(
        dispatcher_port=_port(
            environment, "AGENT_RUNTIME_DISPATCHER_PORT", defaults.dispatcher_port
        ),
        reasoner_port=_port(environment, "AGENT_RUNTIME_REASONER_PORT", defaults.reasoner_port),
        outside_port=_port(environment, "AGENT_RUNTIME_OUTSIDE_PORT", defaults.outside_port),
        data=Path(environment.get("AGENT_RUNTIME_DATA", defaults.data)),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise SystemExit(f"{name}={text!r} is not a port: write a number from 0 to 65535")
    return int(text)
