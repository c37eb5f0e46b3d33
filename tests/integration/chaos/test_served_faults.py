"""Faults between processes and in control groups: proxies, load, limits, redirected connections."""

import http.server
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from resile.chaos.proxy.redirect import why_not
from resile.errors import ConfigError, RejectedError
from resile.health import read_stat

# Network and load ---------------------------------------------------------------------------------


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    return answer.split(b"\r\n")[0].decode()


def ask_when_up(port):
    deadline_s = time.monotonic() + 20
    while True:
        try:
            return ask(port)
        except ConnectionRefusedError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def test_a_proxy_spoils_what_passes_and_is_proven_only_then(stage, web):
    port = free_port()
    record = stage.inject("http.error", f"127.0.0.1:{web}", listen=f"127.0.0.1:{port}", status=503)
    answer = ask_when_up(port)

    assert "503" in answer
    assert "hit 1 times" in stage.active(record).detail
    stage.end(record)
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def test_a_proxy_that_nobody_uses_proves_nothing(stage, web):
    record = stage.inject("network.latency", f":{web}", listen=f":{free_port()}", latency="1s")
    fault = stage.host.faults["network.latency"]
    deadline_s = time.monotonic() + 20
    while "0 connections" not in fault.verify_active(record, stage.host).detail:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)

    assert not fault.verify_active(record, stage.host).holds
    stage.end(record)


def test_a_port_that_is_taken_is_told(stage, web):
    record = stage.inject("network.latency", f":{web}", listen=f":{web}", latency="1s")
    fault = stage.host.faults["network.latency"]
    deadline_s = time.monotonic() + 20
    while "in use" not in fault.verify_active(record, stage.host).detail:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    stage.end(record)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("127.0.0.1:80", {}),
        ("nonsense", {"listen": ":9"}),
        ("127.0.0.1:0", {"listen": ":9"}),
        ("127.0.0.1:80", {"listen": "x"}),
    ],
)
def test_a_proxy_needs_a_server_and_a_client(stage, target, options):
    with pytest.raises(ConfigError):
        stage.inject("network.blackhole", target, **options)


def test_servers_elsewhere_are_not_hit(stage):
    with pytest.raises(RejectedError, match="not on the loopback"):
        stage.inject("network.blackhole", "192.0.2.1:80", listen=":9")
    with pytest.raises(RejectedError, match="not on the loopback"):
        stage.inject("load.spike", "http://example.com/")


def test_load_is_sent_at_its_rate_and_ends(stage, web):
    record = stage.inject(
        "load.spike", f"http://127.0.0.1:{web}/x", rate=200, method="POST", body="{}"
    )

    stage.active(record)
    deadline_s = time.monotonic() + 20
    while stage.host.ledger.said(record.fault_id).get("answered", 0) < 20:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    said = stage.host.ledger.said(record.fault_id)
    assert said["failed"] == 0
    assert 0 < said["p50_s"] <= said["p99_s"]
    stage.end(record)


def test_load_on_a_server_that_is_away_fails_and_is_bounded(stage):
    record = stage.inject("load.spike", f"http://127.0.0.1:{free_port()}/", rate=200)
    deadline_s = time.monotonic() + 20
    while stage.host.ledger.said(record.fault_id).get("failed", 0) < 5:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    stage.end(record)


# Services in control groups -----------------------------------------------------------------------

SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(300)"
SPINS = "print('up', flush=True)\nwhile True: pass"


def test_a_service_shares_its_processor_with_a_burner(grouped):
    process = grouped.start(SLEEPS)
    record = grouped.stage.inject("cpu.burn", "service/api")

    grouped.stage.active(record)
    (carrier,) = grouped.stage.host.carriers.living(record.fault_id)
    assert carrier.pid in grouped.tree.adopt("api-1").pids()
    grouped.stage.end(record)
    grouped.stage.until(lambda: grouped.tree.adopt("api-1").pids() == (process.pid,))


def test_a_hang_stops_every_process_of_a_service(grouped):
    code = (
        "import subprocess, time\n"
        "p = subprocess.Popen(['sleep', '300'])\nprint(p.pid, flush=True)\ntime.sleep(300)"
    )
    process = grouped.start(code)
    other = int(process.stdout.readline())
    record = grouped.stage.inject("process.hang", "service/api")

    grouped.stage.active(record)
    assert (read_stat(process.pid).state, read_stat(other).state) == ("T", "T")
    grouped.stage.end(record)
    assert "T" not in (read_stat(process.pid).state, read_stat(other).state)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("cpu.quota", {"share": "20%"}),
        ("memory.limit", {"size": "64MiB"}),
        ("threads.exhaust", {"left": 2}),
    ],
)
def test_a_limit_is_lower_for_a_while(grouped, fault, options):
    if os.geteuid() != 0:
        pytest.skip("lowering the limits of a group is for root")
    process = grouped.start(SLEEPS)
    process.stdout.readline()
    record = grouped.stage.inject(fault, "service/api", **options)

    grouped.stage.active(record)
    file = Path(record.facts["file"])
    assert file.read_text().strip() == record.facts["during"]
    grouped.stage.end(record)
    assert file.read_text().strip() == record.facts["before"]


def test_a_limit_of_a_group_that_is_gone_needs_nothing(grouped):
    if os.geteuid() != 0:
        pytest.skip("lowering the limits of a group is for root")
    process = grouped.start(SLEEPS)
    record = grouped.stage.inject("cpu.quota", "service/api")
    process.kill()
    process.wait()
    group = grouped.tree.adopt("api-1")
    deadline_s = time.monotonic() + 20
    while group.is_populated() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    group.remove()

    grouped.stage.end(record)


def test_a_service_at_its_limit_is_killed_by_the_kernel_for_want_of_memory(grouped):
    process = grouped.start(f"held = bytearray(16 << 20)\n{SLEEPS}")
    process.stdout.readline()
    record = grouped.stage.inject("memory.pressure", "service/api", size="256MiB", victim="service")

    assert process.wait(timeout=20) == -signal.SIGKILL
    assert "kernel killed" in grouped.stage.active(record).detail
    grouped.stage.end(record)


def test_connections_of_one_service_lead_to_the_proxy_and_nobody_else_is_hit(grouped, web):
    layout = grouped.stage.host.layout
    if why := why_not(layout.unified):
        pytest.skip(why)
    code = (
        "import socket, sys\n"
        "print('up', flush=True)\n"
        "for line in sys.stdin:\n"
        f"    s = socket.create_connection(('127.0.0.1', {web}))\n"
        "    s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "    print(s.recv(100).split(b'\\r\\n')[0].decode(), flush=True)\n"
    )
    process = grouped.start(code)
    process.stdout.readline()

    def asked():
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline()

    assert "200" in asked()
    record = grouped.stage.inject("http.error", f"127.0.0.1:{web}", client="api", status=500)
    deadline_s = time.monotonic() + 20
    while "500" not in asked() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert "500" in asked()
    assert "200" in ask(web)
    grouped.stage.active(record)
    grouped.stage.end(record)
    assert "200" in asked()
