"""The example's secrets: whatever is rotated, and however busy it is, no request fails."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from tests.e2e.example import log_in, plan_status
from tests.e2e.example_daemon import Example

AT_ONCE = 10
REQUESTS_MIN = 100
"""On a busy machine; a quiet one answers some 1,000 meanwhile."""
DENIED = "auditor"
"""Who may run nothing: asks the database alone, and so gets many answers."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("example")]

Answers = Counter[tuple[str, tuple[str, ...]]]
"""How often each verdict came, with these warnings."""


def test_no_request_fails_while_either_secret_is_rotated_or_compromised(example: Example) -> None:
    before = {name: revealed(example, name) for name in ("db/policy", "api/reasoner")}

    with load(example) as answers:
        for more in ([], ["--compromise", "--why", "a test wants it so"]):
            for name in before:
                rotate(example, name, *more)

    assert set(answers) == {("denied", ()), ("completed", ())}
    assert answers.total() >= REQUESTS_MIN
    after = {name: revealed(example, name) for name in before}
    socket_path = example.data / "run" / "database.sock"
    assert log_in(socket_path, before["db/policy"])["sqlstate"] == "28P01"
    assert "rules" in log_in(socket_path, after["db/policy"])
    port = example.ports["8482"]
    assert plan_status(port, before["api/reasoner"]) == 401
    assert plan_status(port, after["api/reasoner"]) == 200


def revealed(example: Example, name: str) -> str:
    """Read a secret, as an operator may."""
    done = example.resile("secrets", "get", name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rotate(example: Example, *arguments: str) -> None:
    done = example.resile("secrets", "rotate", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["outcome"], report["cut"]) == ("rotated", [])


@contextmanager
def load(example: Example) -> Iterator[Answers]:
    """Send requests until the block ends; what they gave is counted by then."""
    answers: Answers = Counter()
    over = threading.Event()

    def send(agent: str) -> Answers:
        given: Answers = Counter()
        while not over.is_set():
            answer = example.dispatch("print(1)", agent)
            given[
                answer.get("verdict", answer.get("error")), tuple(answer.get("warnings", ()))
            ] += 1
        return given

    agents = ["librarian", "librarian", *[DENIED] * (AT_ONCE - 2)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sending: list[Future[Answers]] = [pool.submit(send, agent) for agent in agents]
        try:
            yield answers
        finally:
            over.set()
    for future in sending:
        answers.update(future.result())
