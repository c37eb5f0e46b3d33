"""What the proxy does to real connections on the loopback."""

import asyncio
import contextlib
import random

import pytest

from resile.chaos.arguments import read_arguments
from resile.chaos.faults.network import HTTP_FAULTS, NETWORK_FAULTS
from resile.chaos.proxy.serving import Proxy
from resile.chaos.proxy.tally import Tally
from resile.chaos.proxy.toxics import Toxic

FAULTS = {fault.name: fault for fault in (*NETWORK_FAULTS, *HTTP_FAULTS)}
PATIENCE_S = 20


@contextlib.asynccontextmanager
async def proxied(fault, handler, **options):
    """Serve `handler` behind the toxic; give the proxy's port and what it has said."""
    arguments, problems = read_arguments(FAULTS[fault].parameters, options)
    assert problems == []
    said = {}
    tally = Tally(said.update)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    toxic = Toxic(arguments, tally, random.Random(1))
    proxy = Proxy(fault, server.sockets[0].getsockname()[:2], toxic, tally)
    front = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    port = front.sockets[0].getsockname()[1]
    tally.listens(port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield port, said, tally
    finally:
        tally.tell()
        front.close()
        server.close()
        await end_all()


async def end_all():
    """End what is left of connections, and let the loop close them."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.01)


async def echo(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def exchange(port, data, *, ends=True):
    """Send, and read until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if ends:
        writer.write_eof()
    try:
        return await reader.read(-1)
    finally:
        writer.close()


def run(main):
    return asyncio.run(main())


def test_latency_delays_each_piece_and_keeps_the_order():
    data = b"".join(bytes([n % 256]) * 1000 for n in range(300))

    async def main():
        async with proxied("network.latency", echo, latency="50ms", jitter="10ms") as (
            port,
            said,
            _,
        ):
            began_s = asyncio.get_running_loop().time()
            assert await exchange(port, data) == data
            took_s = asyncio.get_running_loop().time() - began_s
        return took_s, said

    took_s, said = run(main)
    assert took_s >= 0.08  # There and back.
    assert said["struck"] >= 2


def test_latency_in_one_direction_leaves_the_other_alone():
    async def main():
        async with proxied("network.latency", echo, latency="80ms", direction="up") as (port, *_):
            began_s = asyncio.get_running_loop().time()
            await exchange(port, b"x")
            return asyncio.get_running_loop().time() - began_s

    assert run(main) >= 0.08


def test_bandwidth_lets_only_so_much_through():
    async def main():
        async with proxied("network.bandwidth", echo, rate="100kB", direction="up") as (port, *_):
            began_s = asyncio.get_running_loop().time()
            assert await exchange(port, b"x" * 30_000) == b"x" * 30_000
            return asyncio.get_running_loop().time() - began_s

    assert run(main) >= 0.28


def test_reset_cuts_the_connection_with_rst():
    async def main():
        async with proxied("network.reset", echo, after="20ms") as (port, *_):
            with pytest.raises(ConnectionResetError):
                await exchange(port, b"x", ends=False)

    run(main)


def test_blackhole_takes_everything_and_answers_nothing():
    async def main():
        async with proxied("network.blackhole", echo) as (port, said, tally):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1)
            writer.close()
            tally.tell()
            assert said["struck"] == 1

    run(main)


def test_slicer_hands_small_pieces_on_and_loses_none():
    async def main():
        async with proxied("network.slicer", echo, size=3, pause="1ms", direction="up") as (
            port,
            said,
            tally,
        ):
            assert await exchange(port, b"0123456789") == b"0123456789"
            tally.tell()
            assert said["struck"] == 4

    run(main)


def test_limit_closes_in_the_middle_of_what_is_said():
    async def main():
        async with proxied("network.limit", echo, size=5, direction="down") as (port, *_):
            assert await exchange(port, b"0123456789") == b"01234"

    run(main)


def test_corrupt_changes_one_bit():
    async def main():
        async with proxied("network.corrupt", echo, direction="down") as (port, *_):
            data = bytes(1000)
            answer = await exchange(port, data)
            assert len(answer) == len(data)
            assert sum(byte.bit_count() for byte in answer) >= 1

    run(main)


def test_the_first_connections_fail_and_the_next_one_works():
    async def main():
        async with proxied("network.fail_first", echo, count=2) as (port, *_):
            for _ in range(2):
                with pytest.raises(ConnectionResetError):
                    await exchange(port, b"x", ends=False)
            assert await exchange(port, b"x") == b"x"

    run(main)


def test_a_server_that_is_not_there_closes_the_connection():
    async def main():
        async with proxied("network.latency", echo, latency="1ms") as (port, *_):
            pass
        arguments, _ = read_arguments(FAULTS["network.latency"].parameters, {"latency": "1ms"})
        tally = Tally(lambda _: None)
        proxy = Proxy(
            "network.latency", ("127.0.0.1", port), Toxic(arguments, tally, random.Random(1)), tally
        )
        front = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
        with pytest.raises(ConnectionResetError):
            await exchange(front.sockets[0].getsockname()[1], b"x", ends=False)
        front.close()
        await end_all()

    run(main)


REQUEST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc"


async def http(reader, writer):
    """Answer with what was asked, and close as asked."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(3)
    content = head + body
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    await writer.drain()
    writer.close()


def test_requests_are_answered_with_an_error_instead_of_the_server():
    async def main():
        async with proxied("http.error", http, status=502) as (port, said, tally):
            answer = await exchange(port, REQUEST, ends=False)
            tally.tell()
            return answer, said

    answer, said = run(main)
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"injected by resile chaos" in answer
    assert said == {"port": said["port"], "connections": 1, "struck": 1}


def test_a_share_of_requests_reaches_the_server_and_asks_for_one_answer_only():
    async def main():
        async with proxied("http.error", http, share="50%") as (port, *_):
            return [await exchange(port, REQUEST, ends=False) for _ in range(40)]

    answers = run(main)
    good = [answer for answer in answers if b" 200 " in answer]
    assert 8 <= len(good) <= 32
    assert all(b"Connection: close\r\n\r\nabc" in answer for answer in good)
    assert all(b"keep-alive" not in answer for answer in good)


def test_requests_wait_before_the_server_gets_them():
    async def main():
        async with proxied("http.delay", http, latency="100ms") as (port, *_):
            began_s = asyncio.get_running_loop().time()
            answer = await exchange(port, REQUEST, ends=False)
            return answer, asyncio.get_running_loop().time() - began_s

    answer, took_s = run(main)
    assert b"200 OK" in answer
    assert took_s >= 0.1
