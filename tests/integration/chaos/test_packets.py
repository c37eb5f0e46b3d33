"""Packets of one service that do not arrive, dropped by the kernel."""

import socket
import threading

import pytest

from resile.chaos.proxy.packets import why_not
from resile.errors import ConfigError, RejectedError

PATIENCE_S = 20.0
ASKS = """
import socket, sys
address = ("127.0.0.1", int(sys.stdin.readline()))
kept = socket.create_connection(address, timeout=20)
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.connect(address)
def tried(do):
    try:
        return do()
    except TimeoutError:
        return "silence"
    except OSError as exc:
        return type(exc).__name__
def connect():
    socket.create_connection(address, timeout=0.3).close()
    return "answered"
def speak(sock):
    sock.settimeout(0.3)
    sock.send(b"x")
    return sock.recv(10).decode()
def burst(count=100):
    udp.settimeout(1)
    for _ in range(count):
        udp.send(b"y")
    got = 0
    try:
        while got < count:
            udp.recv(10)
            got += 1
    except TimeoutError:
        pass
    return str(got)
DO = {"connect": connect, "kept": lambda: speak(kept), "udp": lambda: speak(udp), "burst": burst}
print("up", flush=True)
for line in sys.stdin:
    print(tried(DO[line.strip()]), flush=True)
"""


@pytest.fixture
def echo():
    """A server that answers over TCP and UDP at one port."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    udp.bind(("127.0.0.1", port))
    heard = []

    def answer_udp():
        while True:
            data, peer = udp.recvfrom(10)
            if data == b"end":
                return
            heard.append(data)
            udp.sendto(b"answered", peer)

    def serve(link):
        with link:
            while link.recv(10):
                link.sendall(b"answered")

    def answer_tcp():
        while True:
            try:
                link, _ = tcp.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(link,), daemon=True).start()

    threads = [threading.Thread(target=one, daemon=True) for one in (answer_udp, answer_tcp)]
    for thread in threads:
        thread.start()
    yield port, heard
    tcp.shutdown(socket.SHUT_RDWR)
    tcp.close()
    with socket.socket(type=socket.SOCK_DGRAM) as last:
        last.sendto(b"end", ("127.0.0.1", port))
    for thread in threads:
        thread.join(PATIENCE_S)
    udp.close()


@pytest.fixture
def client(grouped, echo):
    """A service that speaks to the server; give what asks it."""
    if why := why_not(grouped.stage.host.layout.unified):
        pytest.skip(why)
    process = grouped.start(ASKS)

    def asked(what):
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    assert asked(echo[0]) == "up"
    return asked


def partition(grouped, echo, client, **options):
    """Cut it off; return when it is."""
    record = grouped.stage.inject(
        "network.partition", f"127.0.0.1:{echo[0]}", client="api", **options
    )
    grouped.stage.until(lambda: client("udp") == "silence")
    return record


def test_a_service_is_cut_off_from_a_server_and_nobody_else_is(grouped, echo, client):
    assert client("connect") == client("kept") == client("udp") == "answered"
    record = partition(grouped, echo, client)

    assert "dropped" in grouped.stage.active(record).detail
    assert client("connect") == client("kept") == "silence"
    socket.create_connection(("127.0.0.1", echo[0]), timeout=PATIENCE_S).close()
    grouped.stage.end(record)
    assert client("connect") == "answered"
    grouped.stage.until(lambda: client("udp") == "answered")


@pytest.mark.parametrize(("direction", "is_heard"), [("up", False), ("down", True)])
def test_one_direction_alone_may_be_cut(grouped, echo, client, direction, is_heard):
    record = partition(grouped, echo, client, direction=direction)
    before = len(echo[1])

    assert client("udp") == "silence"
    assert (len(echo[1]) > before) == is_heard
    grouped.stage.end(record)


def test_a_share_of_the_packets_is_lost_and_the_sender_is_not_told(grouped, echo, client):
    record = grouped.stage.inject(
        "network.loss", f"127.0.0.1:{echo[0]}", client="api", share=0.5, direction="down"
    )
    grouped.stage.until(lambda: "dropped" in grouped.stage.host.ledger.said(record.fault_id))

    assert 10 < int(client("burst")) < 90
    grouped.stage.active(record)
    grouped.stage.end(record)
    grouped.stage.until(lambda: client("burst") == "100")


def test_a_partition_ends_with_its_time_though_nobody_ends_it(grouped, echo, client):
    record = partition(grouped, echo, client, ttl_s=2.0)

    grouped.stage.until(lambda: client("udp") == "answered")
    grouped.stage.end(record)


def test_a_partition_without_traffic_proves_nothing(grouped, echo, client):
    record = grouped.stage.inject("network.partition", f"127.0.0.1:{echo[0]}", client="api")
    fault = grouped.stage.host.faults["network.partition"]

    grouped.stage.until(
        lambda: "0 packets" in fault.verify_active(record, grouped.stage.host).detail
    )
    assert not fault.verify_active(record, grouped.stage.host).holds
    grouped.stage.end(record)


def test_who_is_cut_off_from_whom_must_be_known(grouped, client):
    with pytest.raises(ConfigError, match="no service"):
        grouped.stage.inject("network.loss", "127.0.0.1:80", client="none")
    with pytest.raises(RejectedError, match="IPv4"):
        grouped.stage.inject("network.loss", "[::1]:80", client="api")


def test_without_groups_there_is_a_reason(stage):
    with pytest.raises(RejectedError, match=r"root|cgroup v2"):
        stage.inject("network.partition", "127.0.0.1:80", client="api")
