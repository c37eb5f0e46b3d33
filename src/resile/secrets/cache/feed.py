"""Whoever tells a process of changes of secrets at once, and wants to know what is used there."""

from typing import Protocol


class Listener(Protocol):
    """Takes news. Quick: it is called in the thread that hears."""

    def changed(self, name: str, version: str) -> None:
        """Take it that another version is current; empty: perhaps."""
        ...

    def revoked(self, name: str, version: str) -> None:
        """Take it that a version must not be used any more; empty: any."""
        ...


class Feed(Protocol):
    """Tells of changes. Safe to share between threads; no call waits."""

    def follow(self, listener: Listener) -> None:
        """Tell this one, and no other."""
        ...

    def watch(self, name: str) -> None:
        """A name is used here from now on. Idempotent."""
        ...

    def unwatch(self, name: str) -> None:
        """A name is not used here any more. Idempotent."""
        ...

    def acknowledge(self, name: str, version: str) -> None:
        """Nothing older than this version is used here."""
        ...

    def note(self, name: str, what: str, count: int) -> None:
        """Something happened with a secret, so many times lately, such as `auth_failed`."""
        ...


class Silence:
    """No feed: a change is seen when a value is read anew, and nobody wants to know anything."""

    def follow(self, listener: Listener) -> None:
        """Tell nothing."""

    def watch(self, name: str) -> None:
        """Nobody asks."""

    def unwatch(self, name: str) -> None:
        """Nobody asks."""

    def acknowledge(self, name: str, version: str) -> None:
        """Nobody waits for it."""

    def note(self, name: str, what: str, count: int) -> None:
        """Nobody wants to know."""
