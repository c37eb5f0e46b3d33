"""The connection of a starting service to the secretkeeper."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from resile.core.unix import connect_unix
from resile.daemon.handing.errors import AwayError, HandingError

ANSWER_S = 10.0
LINE_BYTES_MAX = 1 << 20
_TRANSIENT = "ProviderDownError"


class Line:
    """One connection. Not thread-safe.

    Args:
        path: The socket.

    Raises:
        AwayError: If nobody answers there.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._sock = connect_unix(path, timeout_s=ANSWER_S)
        except OSError as exc:
            raise AwayError(f"no secretkeeper answers: {exc.strerror}") from exc
        self._rest = b""
        try:
            self._send({"v": 1, "program": "resile.daemon.handing"})
            self._receive()
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def ask(self, verb: str, **more: Any) -> dict[str, Any]:
        """Ask, and give the answer.

        Raises:
            HandingError: If it is refused.
            AwayError: If it may be answered later.
        """
        self._send({"ask": 1, "verb": verb, **more})
        answer = self._receive()
        error = answer.get("error")
        if error is None:
            return answer
        raise _error_of(error)

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError as exc:
            raise AwayError("the secretkeeper hung up") from exc

    def _receive(self) -> dict[str, Any]:
        try:
            while b"\n" not in self._rest:
                part = self._sock.recv(1 << 16)
                if not part or len(self._rest) > LINE_BYTES_MAX:
                    raise AwayError("the secretkeeper hung up")
                self._rest += part
        except OSError as exc:
            raise AwayError("the secretkeeper did not answer in time") from exc
        data, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(data)
        if "refused" in message:
            raise _error_of(message.get("error") or {"message": str(message["refused"])})
        return message


def _error_of(error: Mapping[str, Any]) -> Exception:
    words = ": ".join(filter(None, (error.get("message"), error.get("hint"))))
    return (AwayError if error.get("sort") == _TRANSIENT else HandingError)(words)
