"""Types `resile secrets` as a user does: in this process, or on a terminal of its own."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resile.cli.main import run
from resile.core.journal import Query, open_journal
from resile.errors import JournalError

RESILE = Path(sys.executable).with_name("resile")
DEADLINE_S = 30.0
"""Generous: a slow machine may not turn a test red."""


class Done:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.raw = out
        self.out = out.decode(errors="replace")
        self.err = err.decode()

    @property
    def data(self) -> Any:
        return json.loads(self.raw)


class Typed:
    """Types commands in a folder; in this process, as a start takes longer than what is tested."""

    def __init__(
        self,
        folder: Path,
        capture: pytest.CaptureFixture[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.folder = folder
        self._capture = capture
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, stdin: bytes = b"") -> Done:
        source = SimpleNamespace(buffer=io.BytesIO(stdin), isatty=lambda: False)
        self._monkeypatch.setattr(sys, "stdin", source)
        code = run(["secrets", *words])
        sys.stdout.flush()
        done = Done(code, *self._capture.readouterr())
        assert "Traceback" not in done.err
        assert "mistake in resile" not in done.err + done.out
        return done

    def done(self, *words: str, stdin: bytes = b"") -> Done:
        done = self(*words, stdin=stdin)
        assert done.code == 0, done.err + done.out
        return done

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        return self.done(*words, "--json", stdin=stdin).data

    def refused(self, *words: str, code: int, says: str, hint: str, stdin: bytes = b"") -> None:
        """Type a command that is told no: what is so, and what to type next; in JSON the same."""
        plain = self(*words, stdin=stdin)
        assert (plain.code, plain.raw) == (code, b""), plain.err
        assert says in plain.err
        assert hint in plain.err.partition("hint: ")[2] != ""
        told = self(*words, "--json", stdin=stdin)
        assert told.code == code
        assert says in told.data["error"]
        assert hint in told.data["hint"]
        assert told.data["exit_code"] == code

    def put(self, name: str, value: str) -> str:
        return str(self.json("put", name, stdin=value.encode())["version"])

    def value(self, name: str, *words: str) -> str:
        return self.done("get", name, *words).out

    def events(self, kind: str) -> list[dict[str, Any]]:
        try:
            journal = open_journal(self.folder / ".resile" / "journal", create=False)
        except JournalError:
            return []
        try:
            return [dict(record.event.body) for record in journal.read(Query(kinds=(kind,)))]
        finally:
            journal.close()


class Terminal:
    """The command on a terminal of its own, typed at as a person does."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._parent, child = pty.openpty()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", RESILE, "secrets", *words],
            cwd=folder,
            env=environ,
            stdin=child,
            stdout=child,
            stderr=child,
        )
        os.close(child)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen and time.monotonic() < deadline:
            self.seen += self._read()
        assert text in self.seen

    def type(self, text: str) -> None:
        os.write(self._parent, text.encode())

    def end(self) -> int:
        while more := self._read():
            self.seen += more
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        os.close(self._parent)
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        try:
            return os.read(self._parent, 4096).decode()
        except OSError:  # The other end is closed.
            return ""
