"""What is switched off, in a real browser: a banner on every page, above all else."""

from typing import Any

from tests.e2e import test_dashboard as dashboard
from tests.e2e.test_degraded_banner import served, visit
from tests.unit.web import scenes, switch_scenes

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

PAGES = ("/", "/runs", "/store", "/policies", "/secrets", "/drill")
LOOKS = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360))


def test_every_page_has_it_in_every_look(browser: Any) -> None:
    expect = playwright.expect
    with served(switch_scenes.emergency()) as site:
        for number, path in enumerate(PAGES):
            scheme, width = LOOKS[number % len(LOOKS)]
            seen = visit(browser, site, path, scheme=scheme, width=width)
            notices = seen.page.locator(".switched .notice")

            expect(notices).to_have_count(2)
            expect(notices.first).to_contain_text("Emergency Stop by ann: an intruder in the build")
            expect(notices.first).to_contain_text("3 contained runs killed, 1 fault on purpose")
            expect(notices.first).to_contain_text("Not done: run_01 does not die")
            expect(notices.first).to_contain_text("resile enable recovery chaos; resile resume")
            expect(notices.nth(1)).to_contain_text(switch_scenes.WHY)
            assert not seen.is_scrolling_sideways(), (path, scheme, width)
            assert seen.troubles == []
            seen.page.close()


def test_banner_comes_and_goes_with_the_switch_and_hostile_text_stays_text(browser: Any) -> None:
    expect = playwright.expect
    view = scenes.all_up()
    with served(view) as site:
        seen = visit(browser, site, width=360)
        notices = seen.page.locator(".switched .notice")
        expect(notices).to_have_count(0)

        view.switches = switch_scenes.hostile().switches
        expect(notices).to_have_count(2)
        assert not seen.is_scrolling_sideways()
        assert seen.page.locator(".switched img").count() == 0
        assert "\u202e" not in seen.page.locator(".switched").inner_text()
        assert seen.page.evaluate("document.body.dataset.pwned") is None

        view.switches = scenes.all_up().switches
        expect(notices).to_have_count(0)
        assert seen.troubles == []
        seen.page.close()
