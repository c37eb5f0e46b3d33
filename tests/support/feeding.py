"""A feed of changes of secrets that writes down what it is told."""

from resile.secrets.cache.feed import Listener


class FakeFeed:
    """Tells by `listener`, and keeps what a manager says of what it uses."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def follow(self, listener: Listener) -> None:
        self.listener = listener

    def watch(self, name: str) -> None:
        self.said.append(("watch", name))

    def unwatch(self, name: str) -> None:
        self.said.append(("unwatch", name))

    def acknowledge(self, name: str, version: str) -> None:
        self.said.append(("ack", name, version))

    def note(self, name: str, what: str, count: int) -> None:
        self.said.append(("note", name, what, str(count)))

    @property
    def acks(self) -> list[str]:
        return [one[2] for one in self.said if one[0] == "ack"]
