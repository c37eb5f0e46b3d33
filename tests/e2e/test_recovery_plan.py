"""The coordinated plan in a real browser."""

from typing import Any

from tests.e2e import test_dashboard as dashboard
from tests.unit.web import recovery_scenes, scenes
from tests.unit.web.site import serving

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser


def test_the_plan_is_shown_in_its_order_in_every_look_and_goes_when_all_is_well(
    browser: Any,
) -> None:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    view = recovery_scenes.several()
    with serving(view) as site:
        seen = dashboard.visit(browser, site)
        turns = seen.page.locator("#recovery > li")

        playwright.expect(turns).to_have_count(3)
        assert [turn.locator(".name").inner_text() for turn in turns.all()] == [
            "database",
            "shop",
            "reports",
        ]
        playwright.expect(turns.nth(0)).to_contain_text("in about 3.0 s (1.5 s to 6.0 s)")
        playwright.expect(turns.nth(1)).to_contain_text("waits: database must work first")
        playwright.expect(turns.nth(1)).to_contain_text("at risk")
        playwright.expect(turns.nth(2)).to_contain_text("RTO missed by 40 s")
        playwright.expect(seen.page.locator("#recovery-sum")).to_have_text(
            "1 of 6 steps, end unknown"
        )
        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)

        site.change(view.recovery.faults.clear)
        site.change(scenes.all_up)
        playwright.expect(seen.page.locator("#recovery-section")).to_be_hidden()
        assert seen.troubles == []
        seen.page.close()


def test_whatever_a_system_says_stays_text(browser: Any) -> None:
    with serving(recovery_scenes.hostile()) as site:
        seen = dashboard.visit(browser, site)
        seen.look("light", 360)

        playwright.expect(seen.page.locator("#recovery > li")).to_have_count(1)
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        assert not seen.is_scrolling_sideways()
        assert seen.troubles == []
        seen.page.close()
