"""Names that one service does not find, or finds elsewhere, or late."""

import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from resile.chaos.proxy.resolver import why_not
from resile.errors import ConfigError

PATIENCE_S = 20.0
ASKS = """
import json, socket, struct, sys, time
address = ("127.0.0.1", int(sys.stdin.readline()))
def message(name):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + bytes((0, 0, 1, 0, 1))
def udp(name, is_connected=True):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience_s)
        if is_connected:
            sock.connect(address)
            sock.send(message(name))
        else:
            sock.sendto(message(name), address)
        answer, sender = sock.recvfrom(512)
        assert sender == address, sender
        return answer
def tcp(name):
    with socket.create_connection(address, timeout=patience_s) as sock:
        sock.sendall(struct.pack("!H", len(message(name))) + message(name))
        return sock.recv(512)[2:]
def told(answer):
    code, count = answer[3] & 15, answer[7]
    return ".".join(map(str, answer[-4:])) if count else f"code {code}"
def library(name):
    return socket.gethostbyname(name)
DO = {
    "udp": lambda name: told(udp(name)),
    "unconnected": lambda name: told(udp(name, False)),
    "tcp": lambda name: told(tcp(name)),
    "library": library,
}
print("up", flush=True)
for line in sys.stdin:
    how, name, patience = line.split()
    patience_s = float(patience)
    began = time.monotonic()
    try:
        answer = DO[how](name)
    except TimeoutError:
        answer = "silence"
    except OSError as exc:
        answer = str(exc)
    print(json.dumps([answer, time.monotonic() - began]), flush=True)
"""


@pytest.fixture
def true_server():
    """A name server for which every name has the address 198.51.100.1; over UDP and TCP."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))

    def answer(message):
        head = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + bytes((198, 51, 100, 1))
        return head + message[12:] + record

    def serve_udp():
        while True:
            data, peer = udp.recvfrom(512)
            if data == b"end":
                return
            udp.sendto(answer(data), peer)

    def serve_tcp():
        while True:
            try:
                link, _ = tcp.accept()
            except OSError:
                return
            with link:
                said = answer(link.recv(512)[2:])
                link.sendall(struct.pack("!H", len(said)) + said)

    threads = [threading.Thread(target=one, daemon=True) for one in (serve_udp, serve_tcp)]
    for thread in threads:
        thread.start()
    yield port
    tcp.shutdown(socket.SHUT_RDWR)
    tcp.close()
    with socket.socket(type=socket.SOCK_DGRAM) as last:
        last.sendto(b"end", ("127.0.0.1", port))
    for thread in threads:
        thread.join(PATIENCE_S)
    udp.close()


@pytest.fixture
def client(grouped, true_server):
    """A service that asks for names; give what has it ask."""
    if why := why_not(grouped.stage.host.layout.unified):
        pytest.skip(why)
    process = grouped.start(f"import sys\n{ASKS}")

    def asked(how, name="shop.example", patience_s=PATIENCE_S):
        process.stdin.write(f"{how} {name} {patience_s}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    process.stdin.write(f"{true_server}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "up\n"
    return asked


WAYS = ("udp", "unconnected", "tcp")
TRUE = "198.51.100.1"


def inject(grouped, true_server, client, fault, **options):
    """Inject it; return when what a process asks is spoilt."""
    record = grouped.stage.inject(
        fault, "service/api", resolver=f"127.0.0.1:{true_server}", **options
    )
    said = grouped.stage.host.ledger.said
    grouped.stage.until(lambda: "port" in said(record.fault_id))
    return record


@pytest.mark.parametrize(
    ("how", "seen"), [("failure", "code 2"), ("unknown", "code 3"), ("silence", "silence")]
)
def test_a_name_is_not_found_for_a_while(grouped, true_server, client, how, seen):
    assert {client(way)[0] for way in WAYS} == {TRUE}
    record = inject(grouped, true_server, client, "dns.fail", how=how)

    patience_s = 0.3 if how == "silence" else PATIENCE_S
    assert [client(way, patience_s=patience_s)[0] for way in WAYS] == [seen] * 3
    grouped.stage.until(lambda: "3 were spoilt" in grouped.stage.active(record).detail)
    grouped.stage.end(record)
    assert {client(way)[0] for way in WAYS} == {TRUE}


def test_one_name_alone_leads_elsewhere(grouped, true_server, client):
    record = inject(
        grouped, true_server, client, "dns.redirect", address="192.0.2.7", name="shop.example"
    )

    assert {client(way)[0] for way in WAYS} == {"192.0.2.7"}
    assert {client(way, "other.example")[0] for way in WAYS} == {TRUE}
    grouped.stage.active(record)
    grouped.stage.end(record)


def test_a_name_takes_long_to_find(grouped, true_server, client):
    record = inject(grouped, true_server, client, "dns.slow", latency="300ms")

    for way in WAYS:
        answer, took_s = client(way)
        assert answer == TRUE
        assert took_s >= 0.3
    grouped.stage.end(record)


def test_what_the_library_asks_is_led_elsewhere_too(grouped, client):
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    if not servers or any(":" in one for one in servers):
        pytest.skip("this machine asks no name server over IPv4")
    record = grouped.stage.inject("dns.redirect", "service/api", address="192.0.2.7")
    said = grouped.stage.host.ledger.said
    grouped.stage.until(lambda: "port" in said(record.fault_id))

    assert client("library", "shop.example")[0] == "192.0.2.7"
    grouped.stage.active(record)
    grouped.stage.end(record)


@pytest.mark.parametrize("options", [{"address": "x"}, {"address": "192.0.2.7", "resolver": "y"}])
def test_wrong_addresses_are_told(grouped, client, options):
    with pytest.raises(ConfigError):
        grouped.stage.inject("dns.redirect", "service/api", **options)
