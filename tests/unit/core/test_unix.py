"""A question over a unix socket: every way in which the other side may fail to answer."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resile.core.unix import ANSWER_BYTES_MAX, ask_unix
from resile.testing import FakeClock

Talk = Callable[[socket.socket], object]


@contextlib.contextmanager
def listening(path: Path, talk: Talk) -> Iterator[None]:
    """Take one connection and let `talk` have it."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            talk(connection)

    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_answer_in_pieces_is_put_together(tmp_path: Path) -> None:
    heard = []

    def talk(connection: socket.socket) -> None:
        heard.append(json.loads(connection.makefile("rb").readline()))
        connection.sendall(b'{"a"')
        connection.sendall(b": 1}\n")

    with listening(tmp_path / "s", talk):
        assert ask_unix(tmp_path / "s", {"q": "é"}, timeout_s=10) == {"a": 1}
    assert heard == [{"q": "é"}]


def test_path_longer_than_the_kernel_takes_is_reached(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / "s"

    def talk(connection: socket.socket) -> None:
        connection.makefile("rb").readline()
        connection.sendall(b"{}\n")

    with listening(path, talk):
        assert ask_unix(path, {}, timeout_s=10) == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionResetError),
        (b'{"cut": ', ConnectionResetError),
        (b"[]\n", ValueError),
        (b"\xff\n", ValueError),
        (b"x" * (ANSWER_BYTES_MAX + 1), ValueError),
    ],
    ids=["nothing", "cut", "no object", "no text", "no end"],
)
def test_what_is_no_answer_is_an_error(
    tmp_path: Path, answer: bytes, error: type[Exception]
) -> None:
    def talk(connection: socket.socket) -> None:
        connection.makefile("rb").readline()
        connection.sendall(answer)

    with listening(tmp_path / "s", talk), pytest.raises(error):
        ask_unix(tmp_path / "s", {}, timeout_s=10)


def test_silence_ends_in_time(tmp_path: Path) -> None:
    asked = threading.Event()

    with (
        listening(tmp_path / "s", lambda _: asked.wait(10)),
        contextlib.ExitStack() as stack,
    ):
        stack.callback(asked.set)
        with pytest.raises(TimeoutError):
            ask_unix(tmp_path / "s", {}, timeout_s=0.01)


def test_one_who_goes_on_for_ever_is_not_waited_for(tmp_path: Path) -> None:
    """Each piece comes in time, but there are too many of them."""
    clock = FakeClock()

    def talk(connection: socket.socket) -> None:
        connection.makefile("rb").readline()
        clock.advance(6)
        connection.sendall(b" ")
        connection.recv(1)

    with listening(tmp_path / "s", talk), pytest.raises(TimeoutError):
        ask_unix(tmp_path / "s", {}, timeout_s=5, clock=clock)


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask_unix(tmp_path / "s", {}, timeout_s=1)
