"""The page of guards in a real browser: what is open, and an operator's hand on it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.e2e import test_dashboard as dashboard
from tests.unit.web import policy_scenes, scenes
from tests.unit.web.site import Site, serving

from resile.core.events import PolicyOpened
from resile.testing.view import FakeSystemView
from resile.web import create_app

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

TOKEN = "tokenOfThisDaemon-_0123456789"


class Seen(dashboard.Seen):
    """A page, and everything that went wrong on it."""

    def row(self, guard: str) -> Any:
        return self.page.locator(f"[data-guard='{guard}']")


@pytest.fixture
def view() -> FakeSystemView:
    return policy_scenes.with_breakers()


@pytest.fixture
def site(view: FakeSystemView) -> Iterator[Site]:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        yield site


def visit(
    browser: Any, site: Site, *, token: str = TOKEN, scheme: str = "light", width: int = 1280
) -> Seen:
    link = f"/policies#token={token}" if token else "/policies"
    return dashboard.arrive(dashboard.a_page(browser, Seen, scheme=scheme, width=width), site, link)


def test_the_page_is_sound_whatever_processes_say(browser: Any) -> None:
    view = policy_scenes.hostile()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        seen.page.locator("button.trip").first.click()
        seen.page.locator("form.steer").wait_for()

        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        assert scenes.HOSTILE in seen.page.locator(".name").first.inner_text()
        assert "\u202e" not in seen.page.locator("body").inner_text()
        seen.page.close()


def test_the_breakers_are_told_at_a_glance(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)

    expect(seen.page.locator("#verdict")).to_have_text(
        "2 breakers are open: external-api, reasoner"
    )
    expect(seen.page.locator("#figure-closed")).to_have_text("2 / 5")
    expect(seen.page.locator(".guard .name")).to_have_text(
        ["external-api", "reasoner", "ipc", "database", "scanner", "cache"]
    )
    row = seen.row("external-api")
    expect(row.locator(".look")).to_contain_text("Open")
    expect(row.locator(".left")).to_contain_text("probes in ")
    expect(row.locator(".failures b")).to_have_text("15")
    expect(row.locator(".success b")).to_have_text("0.00 %")
    expect(row.locator(".last")).to_contain_text("TimeoutError: the request took longer than 2 s")
    expect(seen.row("reasoner").locator(".reason")).to_have_text(
        "INC-12: the model answers nonsense"
    )
    expect(seen.row("cache").locator("button:visible")).to_have_count(0)
    seen.page.close()


def test_without_a_guard_the_page_says_what_to_write(browser: Any) -> None:
    view = policy_scenes.none()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site, width=360)

        assert seen.page.locator("#verdict").inner_text() == "No guard is known yet"
        assert "resile.connect" in seen.page.locator("#guards code").inner_text()
        assert seen.troubles == []
        seen.page.close()


def test_a_breaker_is_tripped_with_a_reason_and_a_time_and_reset_with_a_reason(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.row("database")
    row.locator("button.trip").click()
    row.locator("form button[type=submit]").click()
    assert view.policies.ordered == [], "a reason is wanted"

    row.locator("form input").fill("the bank is down")
    row.locator("form select").select_option("300")
    row.locator("form button[type=submit]").click()
    expect(row.locator(".restored")).to_have_text("Tripped in 1 of 1 process.")
    expect(row.locator("form")).to_have_count(0)

    view.policies.failed = ["dispatcher (4312): it cannot"]
    row.locator("button.reset").click()
    expect(row.locator("form select")).to_have_count(0)
    row.locator("form input").fill("it is back")
    row.locator("form input").press("Enter")
    expect(row.locator(".failed")).to_have_text("dispatcher (4312): it cannot")

    assert view.policies.ordered == [
        ("database", "trip", 300.0, "the bank is down", "dashboard"),
        ("database", "reset", None, "it is back", "dashboard"),
    ]
    row.locator("button.trip").click()
    row.locator("form input").press("Escape")
    expect(row.locator("form")).to_have_count(0)
    assert seen.troubles == []
    seen.page.close()


def test_without_the_token_there_is_a_command_and_no_button(browser: Any, site: Site) -> None:
    seen = visit(browser, site, token="")

    playwright.expect(seen.page.locator("#access")).to_contain_text("resile dashboard")
    playwright.expect(seen.page.locator(".guard button:visible")).to_have_count(0)
    assert seen.troubles == []
    seen.page.close()


def test_a_breaker_that_opens_shows_by_itself_and_silence_is_never_shown_as_good(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    seen = visit(browser, site)
    row = view.policies.rows[0]

    def opens() -> None:
        row.update(state="open", failures=5, ends_at=view.now + timedelta(seconds=30))
        view.policies.put("database", service="worker", pid=7)
        view.append(PolicyOpened(guard="database", at=view.now))

    site.change(opens)

    database = seen.row("database")
    playwright.expect(database.locator(".word").first).to_have_text("Open in 1 of 2")
    database.locator(".more summary").click()
    playwright.expect(database.locator(".processes li")).to_have_count(2)
    site.stop()
    seen.page.wait_for_selector("body[data-stale]", state="attached")
    assert seen.page.locator("#verdict").inner_text().startswith("No answer from resile since")
    seen.page.close()
