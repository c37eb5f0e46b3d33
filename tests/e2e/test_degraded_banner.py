"""The banner of degraded mode in a real browser: on every page, and its answers."""

from typing import Any

import pytest
from tests.e2e import test_dashboard as dashboard
from tests.unit.web import degradation_scenes, scenes
from tests.unit.web.site import Site, serving

from resile.errors import RejectedError
from resile.testing.view import FakeSystemView
from resile.web import create_app

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

TOKEN = "tokenOfThisDaemon-_0123456789"
PAGES = ("/", "/runs", "/store", "/policies")


def visit(
    browser: Any,
    site: Site,
    path: str = "/",
    *,
    token: str = TOKEN,
    scheme: str = "light",
    width: int = 1280,
    has_own_clock: bool = False,
) -> dashboard.Seen:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    link = f"{path}#token={token}" if token else path
    seen = dashboard.a_page(browser, dashboard.Seen, scheme=scheme, width=width)
    return dashboard.arrive(seen, site, link, has_own_clock=has_own_clock)


def served(view: FakeSystemView) -> Any:
    return serving(view, app=create_app(view, token=TOKEN))


def test_every_page_has_it_in_every_look(browser: Any) -> None:
    looks = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360))
    with served(degradation_scenes.several()) as site:
        for path, (scheme, width) in zip(PAGES, looks, strict=True):
            seen = visit(browser, site, path, scheme=scheme, width=width)
            notices = seen.page.locator(".notice")

            playwright.expect(notices).to_have_count(3)
            playwright.expect(notices.first).to_contain_text("worker died")
            playwright.expect(notices.nth(1)).to_contain_text("in 2 processes")
            playwright.expect(notices.nth(1)).to_contain_text(degradation_scenes.LOST)
            assert not seen.is_scrolling_sideways(), (path, scheme, width)
            assert seen.troubles == []
            seen.page.close()


def test_whatever_processes_say_stays_text(browser: Any) -> None:
    with served(degradation_scenes.hostile()) as site:
        seen = visit(browser, site, width=360)
        playwright.expect(seen.page.locator(".notice")).to_have_count(2)

        assert seen.troubles == []
        assert not seen.is_scrolling_sideways()
        assert seen.page.locator(".notices img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        assert "\u202e" not in seen.page.locator(".notices").inner_text()
        seen.page.close()


def test_retry_and_continue_are_done_for_all_processes(browser: Any) -> None:
    expect = playwright.expect
    view = degradation_scenes.several()
    with served(view) as site:
        seen = visit(browser, site)
        notices = seen.page.locator(".notice")
        expect(notices).to_have_count(3)

        notices.get_by_role("button", name="Continue: database").click()
        expect(notices).to_have_count(2)
        notices.get_by_role("button", name="Retry: scanner").click()
        expect(notices).to_have_count(1)

        assert view.degradation.answered == [
            ("ntc_1", "continue", "dashboard"),
            ("ntc_2", "continue", "dashboard"),
            ("ntc_3", "retry", "dashboard"),
        ]
        view.degradation.failure = RejectedError("mail.py: it did not answer")
        notices.get_by_role("button", name="Retry: network").click()
        expect(notices.locator(".failed")).to_contain_text("mail.py: it did not answer")
        # A refusal is an answer of the server's, which the browser notes by itself.
        assert all("409" in trouble for trouble in seen.troubles)
        seen.page.close()


def test_it_comes_and_goes_by_itself(browser: Any) -> None:
    view = scenes.all_up()
    with served(view) as site:
        seen = visit(browser, site, has_own_clock=True)
        assert seen.page.locator(".notice").count() == 0
        site.change(lambda: view.degradation.put("database", degradation_scenes.LOST))
        seen.page.clock.fast_forward(2000)
        playwright.expect(seen.page.locator(".notice")).to_have_count(1)
        site.change(view.degradation.notices.clear)
        seen.page.clock.fast_forward(2000)
        playwright.expect(seen.page.locator(".notice")).to_have_count(0)
        assert not seen.page.locator(".notices").is_visible()
        seen.page.close()


@pytest.mark.parametrize("path", ["/", "/policies"])
def test_without_the_token_there_is_a_command_and_no_button(browser: Any, path: str) -> None:
    with served(degradation_scenes.database_lost()) as site:
        seen = visit(browser, site, path, token="")

        playwright.expect(seen.page.locator(".notice code")).to_have_text("resile dashboard")
        assert seen.page.locator(".notice button:visible").count() == 0
        assert seen.troubles == []
        seen.page.close()
