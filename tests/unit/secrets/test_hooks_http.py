"""A secret as authentication of httpx: read for each request, once more with a newer one after a 401."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests.support.feeding import FakeFeed
from tests.support.secret_scenes import NAME

import resile
from resile.errors import ConfigError
from resile.secrets import SecretManager, httpx_auth
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider


class Api(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Takes one key; reads a body as a network does, which leaves nothing of a stream."""

    def __init__(self, *, header: str = "Authorization", prefix: str = "Bearer ") -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider({NAME: "first"}, clock=self.clock)
        self.feed = FakeFeed()
        self.manager = SecretManager(
            self.provider, feed=self.feed, clock=self.clock, is_background=False
        )
        self.key = "first"
        self.seen: list[tuple[str, bytes]] = []
        self.header, self.prefix = header, prefix
        self.auth = httpx_auth(NAME, header=header, prefix=prefix, manager=self.manager)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        return self.answer(request, b"".join(request.stream))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return self.answer(request, b"".join([part async for part in request.stream]))

    def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        given = request.headers[self.header]
        self.seen.append((given, body))
        return httpx.Response(200 if given == self.prefix + self.key else 401)

    def post(self, *, is_async: bool, content: object = b"body") -> int:
        if is_async:
            return asyncio.run(self._apost(content))
        with httpx.Client(transport=self, auth=self.auth) as client:
            return client.post("https://api.example/", content=content).status_code  # type: ignore[arg-type]

    async def _apost(self, content: object) -> int:
        async with httpx.AsyncClient(transport=self, auth=self.auth) as client:
            response = await client.post("https://api.example/", content=content)  # type: ignore[arg-type]
        return response.status_code

    def rotate_unheard(self) -> None:
        self.manager.secret(NAME)
        self.provider.write(NAME, b"second", token="w")
        self.key = "second"

    @property
    def keys(self) -> list[str]:
        return [given for given, _ in self.seen]


both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@both
def test_key_that_is_current_and_refused_is_sent_once(is_async: bool) -> None:
    api = Api()
    api.key = "another"

    assert api.post(is_async=is_async) == 401
    assert api.keys == ["Bearer first"]


@both
def test_provider_that_is_away_leaves_the_401(is_async: bool) -> None:
    api = Api()
    api.rotate_unheard()
    api.provider.is_away = True

    assert api.post(is_async=is_async) == 401


@both
def test_newer_key_that_is_refused_too_counts(is_async: bool) -> None:
    api = Api()
    api.rotate_unheard()
    api.key = "third"

    assert api.post(is_async=is_async) == 401
    assert api.keys == ["Bearer first", "Bearer second"]
    for _ in range(2):
        api.clock.advance(1)
        assert api.post(is_async=is_async) == 401
    assert ("note", NAME, "auth_failed", "3") in api.feed.said


@both
def test_stream_is_sent_once(is_async: bool) -> None:
    api = Api()
    api.rotate_unheard()

    async def astream() -> AsyncIterator[bytes]:
        yield b"body"

    def stream() -> Iterator[bytes]:
        yield b"body"

    assert api.post(is_async=is_async, content=astream() if is_async else stream()) == 401
    assert len(api.seen) == 1


@both
def test_rotated_key_is_sent_again_with_the_same_body(is_async: bool) -> None:
    api = Api()
    api.rotate_unheard()

    assert api.post(is_async=is_async) == 200
    assert api.seen == [("Bearer first", b"body"), ("Bearer second", b"body")]


@both
def test_other_header_and_no_prefix(is_async: bool) -> None:
    api = Api(header="X-Api-Key", prefix="")

    assert api.post(is_async=is_async) == 200
    assert api.keys == ["first"]


def test_manager_of_this_process_is_the_default() -> None:
    with resile.use_secrets(FakeProvider({NAME: "mine"})) as manager:
        auth = httpx_auth(NAME)
        request = httpx.Request("GET", "https://api.example/")

        next(auth.sync_auth_flow(request))

        assert request.headers["Authorization"] == "Bearer mine"
        assert manager.secret(NAME).reveal() == "mine"
    with pytest.raises(ConfigError, match="closed"):
        manager.secret(NAME)
