"""The dashboard in a real browser: what a person sees, on every width and in both themes."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.unit.web import incident_scenes, scenes
from tests.unit.web.site import Site, serving

from resile.core.events import ServiceReady
from resile.core.vocabulary import CheckState

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
WAIT_MS = 20_000

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.needs_chromium,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"
    ),
    pytest.mark.xdist_group("chromium"),
]


@dataclass
class Seen:
    """A page, and everything that went wrong on it."""

    page: Any
    troubles: list[str] = field(default_factory=list)

    def is_scrolling_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def look(self, scheme: str, width: int) -> None:
        """Show it in a scheme and a width. Only its style depends on these: no page is loaded for it."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=ARGUMENTS, timeout=WAIT_MS * 2
        )
        yield browser
        browser.close()


Look = TypeVar("Look", bound=Seen)


def a_page(browser: Any, make: Callable[[Any], Look], *, scheme: str, width: int) -> Look:
    """Make an empty page whose complaints are noted.

    A tab and an address of its own keep it apart from the pages of other tests: a session would do
    no more, and costs half a second of processor time.
    """
    session = browser.contexts[0] if browser.contexts else browser.new_context()
    for left_by_a_failure in session.pages:
        left_by_a_failure.close()
    page = session.new_page()
    page.set_default_timeout(WAIT_MS)
    seen = make(page)
    seen.look(scheme, width)
    page.on(
        "console",
        lambda m: seen.troubles.append(m.text) if m.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: seen.troubles.append(str(error)))
    return seen


def arrive(seen: Look, site: Site, link: str, *, has_own_clock: bool = False) -> Look:
    """Go to a page of a site, and wait until it is live.

    Args:
        has_own_clock: Its timers and its time go on as usual, and `seen.page.clock` can jump ahead.
    """
    if has_own_clock:
        seen.page.clock.install()
    seen.page.goto(f"{site.url}{link}", wait_until="domcontentloaded")
    seen.page.wait_for_selector("[data-live=on]")
    seen.page.wait_for_selector("body[data-ready]", state="attached")
    return seen


def visit(browser: Any, site: Site, *, scheme: str = "light", width: int = 1280) -> Seen:
    seen = a_page(browser, Seen, scheme=scheme, width=width)
    seen.page.on(
        "response",
        lambda r: seen.troubles.append(f"{r.status} {r.url}") if r.status >= 400 else None,
    )
    return arrive(seen, site, "/")


LOOKS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


@pytest.mark.parametrize("scene", [scenes.all_up, scenes.one_down, scenes.empty, scenes.hostile])
def test_the_page_is_sound(browser: Any, scene: Any) -> None:
    with serving(scene()) as site:
        seen = visit(browser, site)

        for scheme, width in LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        seen.page.close()


def test_a_kill_is_shown_as_it_happens(browser: Any) -> None:
    expect = playwright.expect
    expect.set_options(timeout=WAIT_MS)
    view = scenes.all_up()
    with serving(view) as site:
        seen = visit(browser, site)
        page = seen.page
        expect(page.locator("#verdict")).to_have_text("All systems operational")
        expect(page).to_have_title("● All systems operational · resile")

        site.change(lambda: scenes.one_down(view))

        expect(page.locator("#verdict")).to_have_text("Recovering scanner: killed by SIGKILL")
        expect(page).to_have_title("✖ Recovering scanner: killed by SIGKILL · resile")
        row = page.locator("[data-service=scanner]")
        expect(row.locator(".word")).to_have_text("Down · backoff")
        expect(row.locator(".bars i").last).to_have_attribute("data-s", "DOWN")
        expect(row.locator(".bars i")).to_have_count(60)
        incident = page.locator("[data-incident=inc_1]")
        expect(incident.locator("h3")).to_have_text("scanner crashed: killed by SIGKILL")
        expect(incident.locator(".crashes")).to_contain_text(
            "Problem 200b513da9cb in scanner/rules.py:match, seen 3 times since"
        )
        expect(incident.locator(".timeline li")).to_have_count(5)
        expect(incident.locator(".timeline li").first).to_be_visible()
        expect(page.locator(".event .kind").first).to_have_text("check.changed")
        expect(page.locator("#figure-incidents")).to_have_text("1")

        site.change(lambda: recover(view))

        expect(page.locator("#verdict")).to_have_text("All systems operational")
        expect(page.locator("#open")).to_have_text("No open incident.")
        expect(page.locator("#resolved-count")).to_have_text("2")
        assert seen.troubles == []
        page.close()


def recover(view: Any) -> None:
    for name in ("dispatcher", "scanner", "archive"):
        view.put_service(name)
    view.incident_list[0] = incident_scenes.resolved(view.now) | {"id": "inc_1"}
    view.append(ServiceReady(service="scanner", generation=2, after_s=0.2))


def test_an_escape_attempt_is_contained_and_waits_for_a_person(browser: Any) -> None:
    expect = playwright.expect
    view = scenes.all_up()
    view.incident_list.insert(0, incident_scenes.escaped(view.now - timedelta(minutes=3)))
    with serving(view) as site:
        seen = visit(browser, site)
        incident = seen.page.locator("#open [data-incident=inc_01ESCAPE]")

        expect(incident.locator(".took")).to_have_text("Contained in 40 ms within 2 min")
        expect(incident.locator(".stands")).to_have_text(
            "waits for a person: resile incidents ack inc_01ESCAPE"
        )
        steps = incident.locator(".timeline li")
        assert [steps.nth(i).get_attribute("data-state") for i in range(2)] == ["DOWN", "UP"]
        for scheme, width in LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        view.incident_list[0] |= {"acknowledged_by": "ann"}
        seen.page.reload()
        expect(incident.locator(".stands")).to_have_text("monitoring by ann")
        view.incident_list[0] |= {"state": "resolved", "resolved_at": view.now.isoformat()}
        assert seen.troubles == []
        seen.page.close()


def test_a_withdrawn_incident_does_not_look_recovered(browser: Any) -> None:
    expect = playwright.expect
    view = scenes.all_up()
    view.incident_list[:] = [
        incident_scenes.withdrawn(view.now),
        incident_scenes.withdrawn(view.now) | {"id": "inc_late", "is_within_rto": False},
        incident_scenes.resolved(view.now) | {"id": "inc_good"},
    ]
    with serving(view) as site:
        page = visit(browser, site).page
        page.locator("#resolved-box summary").first.click()

        courses = [
            page.locator(f"[data-incident={name}] .took")
            for name in ("inc_0", "inc_late", "inc_good")
        ]
        expect(courses[0]).to_have_text("Withdrawn after 1.3 s")
        expect(courses[1]).to_have_text("Withdrawn after 1.3 s objective missed 5 min")
        expect(courses[2]).to_have_text("Recovered in 1.3 s within 5 min")
        steps = page.locator("[data-incident=inc_0] .timeline li")
        states = [steps.nth(i).get_attribute("data-state") for i in range(3)]
        assert states == ["DOWN", "MAINTENANCE", "MAINTENANCE"]
        page.close()


def test_rows_stand_still_while_the_figures_change(browser: Any) -> None:
    view = scenes.all_up()
    with serving(view) as site:
        page = visit(browser, site).page
        rows = page.locator("#services > li")
        before = [rows.nth(i).bounding_box() for i in range(rows.count())]
        page.evaluate("document.querySelector('#services > li').dataset.same = 'yes'")

        site.change(lambda: scenes.one_down(view))

        page.wait_for_selector("body[data-state=DOWN]")
        after = [rows.nth(i).bounding_box() for i in range(rows.count())]
        assert [box and box["y"] for box in after] == [box and box["y"] for box in before]
        assert page.locator("#services > li[data-same=yes]").count() == 1
        page.close()


def test_events_are_filtered_paused_and_bounded(browser: Any) -> None:
    expect = playwright.expect
    view = scenes.all_up()

    def add(count: int) -> None:
        for number in range(count):
            view.append(ServiceReady(service="late", generation=number, after_s=0))

    with serving(view) as site:
        page = visit(browser, site).page
        page.keyboard.press("/")
        page.keyboard.type("process.*")
        expect(page.locator(".event")).to_have_count(5)
        page.keyboard.press("Escape")
        expect(page.locator(".event")).to_have_count(11)

        page.click("#pause")
        site.change(lambda: add(3))
        expect(page.locator("#pause")).to_have_text("Resume (3)", timeout=WAIT_MS)
        expect(page.locator(".event")).to_have_count(11)
        page.click("#pause")
        expect(page.locator(".event")).to_have_count(14)

        for _ in range(6):
            site.change(lambda: add(40))
        expect(page.locator(".event")).to_have_count(200, timeout=WAIT_MS)
        expect(page.locator(".event .text").first).to_have_text("late is ready after 0ms")
        page.close()


def test_keys_reach_every_bar_and_every_body(browser: Any) -> None:
    expect = playwright.expect
    with serving(scenes.one_down()) as site:
        page = visit(browser, site).page
        bars = page.locator("[data-service=scanner] .bars")
        page.locator("[data-service=dispatcher] .bars").focus()
        page.keyboard.press("Tab")
        expect(bars).to_be_focused()
        expect(page.locator("#tip")).to_contain_text("Down")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#tip")).to_contain_text("Up")

        page.locator(".event summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".event pre").first).to_contain_text('"reason": "connection refused"')
        page.close()


def test_a_silent_daemon_is_never_shown_as_good(browser: Any) -> None:
    with serving(scenes.all_up()) as site:
        page = visit(browser, site).page
    page.wait_for_selector("body[data-stale]", state="attached")

    assert page.evaluate("document.body.dataset.state") == CheckState.UNKNOWN
    assert page.locator("#verdict").inner_text().startswith("No answer from resile since")
    assert page.locator("#live").inner_text() == "reconnecting…"
    page.close()


def test_scores_and_what_runs_out_are_shown_with_their_reasons(browser: Any) -> None:
    with serving(scenes.one_down()) as site:
        page = visit(browser, site).page

        assert page.locator("#figure-health").inner_text() == "58"
        assert "scanner: DOWN" in page.locator("#figure-health").get_attribute("title")
        fact = page.locator('[data-service="archive"] .facts > span', has_text="score")
        assert fact.inner_text() == "score 65 ▲1"
        assert "\u221235 latency: slow" in fact.get_attribute("title")
        memory, certificate = page.locator("#predictions > li").all()
        assert memory.locator(".name").inner_text() == "archive"
        assert memory.locator(".ms").inner_text() == "in about 4 min 1 s"
        assert memory.locator(".why").inner_text() == "410 MiB of 512 MiB used, 82 % confidence"
        assert certificate.locator(".why").inner_text() == "check/journal.db, 82 % confidence"
        page.close()


def test_hostile_text_is_shown_as_text(browser: Any) -> None:
    with serving(scenes.hostile()) as site:
        page = visit(browser, site).page

        assert page.locator(".service .name").inner_text() == scenes.HOSTILE
        assert page.locator(".incident h3").inner_text() == scenes.HOSTILE
        assert scenes.HOSTILE in page.locator(".event .text").first.inner_text()
        assert page.locator("img").count() == 0
        page.close()


def test_the_plain_page_fits_a_narrow_screen(browser: Any) -> None:
    with serving(scenes.one_down()) as site:
        context = browser.new_context(
            viewport={"width": 360, "height": 760}, java_script_enabled=False
        )
        page = context.new_page()
        page.goto(f"{site.url}/status")

        assert "Recovering scanner" in page.inner_text(".verdict")
        width = page.locator("main").bounding_box()["width"]
        assert width <= 360
        context.close()
