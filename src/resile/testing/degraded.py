"""Degraded operation that is only pretended, for tests of what shows and answers it."""

from collections.abc import Mapping
from typing import Any

from resile.core.vocabulary import NoticeChoice
from resile.errors import RejectedError

_PROCESS: dict[str, Any] = {"key": 1, "pid": 4312, "program": "app.py", "service": "dispatcher"}


class FakeDegradation:
    """Implements `resile.web.DegradationView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.answered: list[tuple[str, str, str]] = []
        """Notice, choice, who."""
        self.failure: Exception | None = None
        """What the next answer raises."""

    def put(self, dependency: str, text: str, *, state: str = "FAILED", **facts: Any) -> None:
        """Add a service that is not well, and its notice; facts say which process it is."""
        process = {**_PROCESS, **facts, "dependency": dependency, "state": state}
        self.services.append(
            {**process, "reason": text, "since_s": 1_735_732_800.0, "is_fallback": True}
        )
        notice_id = f"ntc_{len(self.notices) + 1}"
        self.notices.append(
            {**process, "id": notice_id, "text": text, "choices": ["retry", "continue"]}
        )

    def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        return {"services": self.services, "notices": self.notices}

    async def answer(self, notice_id: str, choice: NoticeChoice, *, who: str) -> None:
        """Remember the answer, and close the notice."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        left = [notice for notice in self.notices if notice["id"] != notice_id]
        if left == self.notices:
            raise RejectedError("The notice is not open any more.")
        self.notices = left
        self.answered.append((notice_id, choice.value, who))
