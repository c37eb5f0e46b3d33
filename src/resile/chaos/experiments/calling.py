"""Does what an experiment calls: functions, requests, commands, looks at services."""

import contextlib
import importlib
import inspect
import json
import os
import shlex
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from resile.chaos.experiments.filling import fill
from resile.chaos.experiments.masking import shown
from resile.chaos.experiments.model import (
    Call,
    HttpCall,
    ProcessCall,
    PythonCall,
    ServiceCall,
    Variables,
)
from resile.chaos.port import System
from resile.core.spawning import run_bounded
from resile.errors import ConfigError, OperationError, ResileError

BODY_BYTES_MAX: Final = 1 << 20
OUTPUT_BYTES_MAX: Final = 1 << 20
_JSON: Final = "application/json"


class Caller:
    """Does calls, each blocking its thread. Safe to share between threads.

    Args:
        variables: What `${name}` stands for.
        folder: Where commands run and modules are looked for first.
        system: Tells the states of services.
    """

    def __init__(self, variables: Variables, *, folder: Path, system: System) -> None:
        self._variables = variables
        self._folder = folder
        self._system = system

    def call(self, call: Call, *, timeout_s_max: float = float("inf")) -> Any:
        """Do it; give its value.

        Args:
            call: What.
            timeout_s_max: An upper bound to its own time-out.

        Raises:
            OperationError: If it failed. An answer or an exit code that nobody wants is no failure.
        """
        try:
            match call:
                case PythonCall():
                    return self._python(call, {})
                case HttpCall():
                    return self._http(call, timeout_s_max)
                case ProcessCall():
                    return self._process(call, timeout_s_max)
                case ServiceCall():
                    return self._service(call)
        except ResileError as exc:
            raise OperationError(shown(exc.message, self._variables), hint=exc.hint) from None

    def judge(self, call: Call, value: Any) -> bool:
        """Ask a call that judges; what fails says no."""
        try:
            if isinstance(call, PythonCall):
                return bool(self._python(call, {"value": value}))
            result = self.call(call)
        except ResileError:
            return False
        return result.get("status") in (0, 200) if isinstance(result, Mapping) else bool(result)

    def shown(self, value: Any) -> str:
        """Write a value for people: short, without secrets."""
        return shown(value, self._variables)

    def _python(self, call: PythonCall, more: Mapping[str, Any]) -> Any:
        """Call a function.

        Raises:
            OperationError: If there is none, or it raised anything.
        """
        if str(self._folder) not in sys.path:
            sys.path.insert(0, str(self._folder))
        arguments = {**fill(call.arguments, self._variables), **more}
        try:
            function = getattr(importlib.import_module(call.module), call.func)
            return function(**arguments, **self._wanted(function, call, arguments))
        except Exception as exc:
            raise OperationError(
                f"{call.module}.{call.func} raised {type(exc).__name__}: {exc}"
            ) from exc

    def _wanted(
        self, function: Any, call: PythonCall, given: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Give the configuration and the secrets to a function that has a place for them."""
        try:
            names = set(inspect.signature(function).parameters) - set(given)
        except (TypeError, ValueError):
            return {}
        found: dict[str, Any] = {}
        if "configuration" in names:
            found["configuration"] = dict(self._variables.configuration)
        if "secrets" in names and call.secrets:
            groups = [self._variables.secrets.get(name, {}) for name in call.secrets]
            found["secrets"] = {name: value for group in groups for name, value in group.items()}
        return found

    def _http(self, call: HttpCall, timeout_s_max: float) -> Any:
        request = self._request(call)
        context = None if call.verifies_tls else _trusting()
        timeout_s = min(call.timeout_s, timeout_s_max)
        try:
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            with opener.open(request, timeout=timeout_s) as response:
                return _answer(response)
        except urllib.error.HTTPError as exc:
            with exc:
                return _answer(exc)
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "reason", exc)
            raise OperationError(f"no answer from {_plain(call.url)}: {reason}") from exc

    def _request(self, call: HttpCall) -> urllib.request.Request:
        url = str(fill(call.url, self._variables))
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{_plain(call.url)} is no URL", hint="write http://HOST:PORT/PATH")
        arguments = fill(call.arguments, self._variables)
        headers = {str(k): str(v) for k, v in fill(call.headers, self._variables).items()}
        data = None
        if arguments and call.method == "GET":
            joint = "&" if "?" in url else "?"
            url += joint + urllib.parse.urlencode(arguments)
        elif arguments:
            is_json = headers.get("Content-Type") == _JSON or not isinstance(arguments, Mapping)
            text = json.dumps(arguments) if is_json else urllib.parse.urlencode(arguments)
            data = (arguments if isinstance(arguments, str) else text).encode()
        return urllib.request.Request(url, data, headers, method=call.method)  # noqa: S310 - checked above

    def _process(self, call: ProcessCall, timeout_s_max: float) -> Any:
        timeout_s = min(call.timeout_s, timeout_s_max)
        path = str(fill(call.path, self._variables))
        argv = [path, *_arguments(fill(call.arguments, self._variables))]
        done = run_bounded(
            argv,
            timeout_s=timeout_s,
            output_bytes_max=OUTPUT_BYTES_MAX,
            env={**os.environ, **fill(call.env, self._variables)},
            cwd=str(self._folder),
            keeps_errors=False,
        )
        if done.is_timed_out:
            raise OperationError(f"{path} did not end within {timeout_s:g} s")
        status = done.exit_code if done.exit_code is not None else done.signal
        return {"status": status, "stdout": done.output.decode(errors="replace"), "stderr": ""}

    def _service(self, call: ServiceCall) -> str:
        services = self._system.services()
        if call.service not in services:
            raise ConfigError(f"there is no service {call.service!r}")
        return services[call.service].state


def _arguments(given: Any) -> list[str]:
    if isinstance(given, str):
        return shlex.split(given)
    words = (
        [word for pair in given.items() for word in pair] if isinstance(given, Mapping) else given
    )
    return [str(word) for word in words if word not in (None, "")]


def _answer(response: Any) -> Mapping[str, Any]:
    body: Any = response.read(BODY_BYTES_MAX).decode(errors="replace")
    headers = dict(response.headers.items())
    if response.headers.get_content_type() == _JSON:
        with contextlib.suppress(ValueError):  # It says so, and is none: it stays a text.
            body = json.loads(body)
    return {"status": response.status, "headers": headers, "body": body}


def _trusting() -> ssl.SSLContext:
    """Trust any certificate: the experiment's author asked for that."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _plain(url: str) -> str:
    """Show a URL without its query, which may hold a token."""
    return url.partition("?")[0]
