"""Playbooks that are only pretended, for tests of what shows and uses them."""

from collections.abc import Mapping
from typing import Any

from resile.errors import RejectedError


class FakePlaybooks:
    """Implements `resile.web.PlaybooksView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.books: list[dict[str, Any]] = []
        self.proposals: list[dict[str, Any]] = []
        self.rehearsals: list[dict[str, Any]] = []
        self.ran: list[tuple[str, str, str]] = []
        """Playbook, target, who."""
        self.answered: list[tuple[str, bool, str]] = []
        """Plan, yes or no, who."""
        self.forgot: list[tuple[str, str]] = []
        """Playbook, who."""

    def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        return {"playbooks": self.books, "proposals": self.proposals}

    def rehearse(self, name: str, *, fault: str, target: str) -> Mapping[str, Any]:
        """Give the rehearsals that the test put in and that fit.

        Raises:
            RejectedError: If there is no such playbook.
        """
        self._find(name)
        found = [
            r
            for r in self.rehearsals
            if r["playbook"] == name and fault in ("", r["fault"]) and target in ("", r["target"])
        ]
        return {"rehearsals": found}

    async def run(self, name: str, *, target: str, who: str) -> Mapping[str, Any]:
        """Remember what was asked for.

        Raises:
            RejectedError: If there is no such playbook.
        """
        self._find(name)
        self.ran.append((name, target, who))
        return {"plan_id": f"pln_{len(self.ran)}", "target": target, "steps": []}

    async def answer(self, plan_id: str, *, is_approved: bool, who: str) -> Mapping[str, Any]:
        """Remember the answer.

        Raises:
            RejectedError: If no such plan waits.
        """
        found = [p for p in self.proposals if p["plan_id"] == plan_id]
        if not found:
            raise RejectedError(f"no plan {plan_id!r} waits for a person")
        self.answered.append((plan_id, is_approved, who))
        return {"plan_id": plan_id, "target": found[0]["target"], "steps": found[0]["steps"]}

    async def forget(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Remember what was to be forgotten.

        Raises:
            RejectedError: If there is no such playbook.
        """
        if name:
            self._find(name)
        self.forgot.append((name, who))
        return {"forgotten": [book["name"] for book in self.books if name in ("", book["name"])]}

    def _find(self, name: str) -> None:
        if all(book["name"] != name for book in self.books):
            raise RejectedError(f"there is no playbook {name!r}")
