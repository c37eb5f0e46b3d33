"""The web part over a pretended system: probes while checks hang, live readers, the page's weight."""

import http.client
import multiprocessing
import resource
import socket
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from tests.unit.web import scenes
from tests.unit.web.site import Site, serving

from resile.core.events import ServiceReady
from resile.web.assets import load_assets
from resile.web.stream import CLIENTS_MAX

CHROMIUM = Path("/usr/bin/chromium")
PROBES = 3000
HUNG_CHECKS = 100
FANOUT_S = 4


def main() -> None:
    print("bar | target | measured")
    with serving(scenes.one_down()) as site:
        with_hung_checks(lambda: report_probe(site))
        report_question(site, "/api/status")
        report_fanout(site)
        report_weight()
        report_first_paint(site)


def with_hung_checks(work: Callable[[], None]) -> None:
    """Run the work while as many threads wait as checks could hang."""
    release = threading.Event()
    with ThreadPoolExecutor(HUNG_CHECKS) as pool:
        for _ in range(HUNG_CHECKS):
            pool.submit(release.wait)
        try:
            work()
        finally:
            release.set()


def report_probe(site: Site) -> None:
    kept = ask(site, "/livez", PROBES, is_kept=True)
    fresh = ask(site, "/livez", PROBES // 3, is_kept=False)
    for name, times in (("kept connection", kept), ("new connection each", fresh)):
        print(
            f"/livez while {HUNG_CHECKS} checks hang, {name} | p99 < 5 ms | "
            f"p50 {statistics.median(times):.2f} ms, p99 {percentile_99(times):.2f} ms"
        )


def report_question(site: Site, path: str) -> None:
    times = ask(site, path, PROBES // 6, is_kept=True)
    print(
        f"{path}, 5 services | - | p50 {statistics.median(times):.2f} ms, p99 {percentile_99(times):.2f} ms"
    )


def ask(site: Site, path: str, count: int, *, is_kept: bool) -> list[float]:
    """Measure from a process of its own, so that asking does not take the server's turn."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, site.address, path, count, is_kept=is_kept).result()


def measure(address: tuple[str, int], path: str, count: int, *, is_kept: bool) -> list[float]:
    """Ask one after the other; milliseconds each."""
    times = []
    connection = http.client.HTTPConnection(*address)
    for _ in range(count):
        began_s = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        if not is_kept:
            connection.close()
        times.append((time.perf_counter() - began_s) * 1000)
    connection.close()
    return times


def percentile_99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def report_fanout(site: Site) -> None:
    readers = [listen(site) for _ in range(CLIENTS_MAX)]
    while site.app.state.hub.clients_count < CLIENTS_MAX:
        time.sleep(0.05)
    idle_s = cpu_s(lambda: time.sleep(FANOUT_S))
    busy_s = cpu_s(lambda: beat(site))
    for reader in readers:
        reader.close()
    share = busy_s / FANOUT_S
    print(
        f"{CLIENTS_MAX} live readers, 1 event/s | < 5 % of a core | "
        f"{share:.1%} (idle {idle_s / FANOUT_S:.1%})"
    )


def listen(site: Site) -> socket.socket:
    reader = socket.create_connection(site.address)
    reader.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return reader


def beat(site: Site) -> None:
    for number in range(FANOUT_S):
        payload = ServiceReady(service="scanner", generation=number, after_s=0.1)
        site.change(lambda payload=payload: site.view.append(payload))
        time.sleep(1)


def cpu_s(work: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report_weight() -> None:
    size = sum(len(asset.content) for asset in load_assets().values())
    print(f"dashboard, all files uncompressed | < 100 KB | {size / 1000:.1f} KB")


def report_first_paint(site: Site) -> None:
    if not CHROMIUM.exists():
        print(f"first paint | < 1 s | skipped: {CHROMIUM} is missing")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        paints = [first_paint_ms(browser.new_context(), site) for _ in range(5)]
        browser.close()
    print(f"first paint, cold cache | < 1 s | median {statistics.median(paints):.0f} ms of 5")


def first_paint_ms(context, site: Site) -> float:
    page = context.new_page()
    page.goto(f"{site.url}/", wait_until="domcontentloaded")
    page.wait_for_selector("body[data-ready]", state="attached")
    name = "first-contentful-paint"
    paint = page.evaluate(f"performance.getEntriesByName('{name}')[0].startTime")
    context.close()
    return float(paint)
