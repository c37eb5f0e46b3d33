"""The page of drills in a real browser: what is proven, what is not, and what happened."""

from datetime import UTC, datetime
from typing import Any

from tests.e2e import test_dashboard as dashboard
from tests.unit.web import drill_scenes, scenes
from tests.unit.web.site import Site, serving

from resile.core.events import DrillEnded
from resile.testing.view import FakeSystemView

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser


class Seen(dashboard.Seen):
    """A page, and everything that went wrong on it."""

    def row(self, cell: str) -> Any:
        return self.page.locator(f".cell[data-cell='{cell}']")

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())


def visit(browser: Any, site: Site, *, width: int = 1280) -> Seen:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    page = dashboard.a_page(browser, Seen, scheme="light", width=width)
    return dashboard.arrive(page, site, "/drill")


def test_the_page_is_sound_whatever_names_say(browser: Any) -> None:
    with serving(drill_scenes.hostile()) as site:
        seen = visit(browser, site)
        for row in seen.page.locator("#cells > .cell[data-state='DOWN'] summary").all():
            row.click()
        seen.page.locator(".cell .timeline li").first.wait_for()

        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        assert scenes.HOSTILE in seen.text("#cells")
        assert "\u202e" not in seen.text("body")
        seen.page.close()


def test_before_the_first_drill_the_page_says_what_begins_one(browser: Any) -> None:
    with serving(drill_scenes.untried()) as site:
        seen = visit(browser, site, width=360)

        assert seen.text("#verdict") == "Nothing has been tried yet"
        assert "resile drill" in seen.text("#sub")
        assert seen.page.locator("#cells > .cell .word").all_inner_texts() == ["never tried"] * 5
        assert not seen.is_scrolling_sideways()
        assert seen.troubles == []
        seen.page.close()


def test_what_did_not_pass_stands_first_and_tells_its_story(browser: Any) -> None:
    expect = playwright.expect
    lost = "dependency_down:service/scanner"
    with serving(drill_scenes.in_trouble()) as site:
        seen = visit(browser, site)

        assert seen.text("#verdict") == "3 scenarios did not pass"
        assert (seen.text("#figure-score"), seen.text("#figure-proven")) == ("71", "31 / 37")
        states = seen.page.locator("#cells > .cell").evaluate_all(
            "rows => rows.map(r => r.dataset.state)"
        )
        assert states == ["DOWN", "DOWN", "DEGRADED", "STOPPED", "UNKNOWN", "UNKNOWN"]
        assert "dependency down service/scanner" in seen.text("#drills > li:first-child .changed")
        spot = seen.page.get_by_role("button", name="dependency down service/scanner: lost")
        spot.click()
        expect(seen.row(lost).locator(".timeline li")).to_have_count(4)
        assert "240 writes acknowledged, 2 lost" in seen.row(lost).inner_text()
        assert "+0.94 s" in seen.row(lost).inner_text()
        assert seen.troubles == []
        seen.page.close()


def test_a_drill_that_was_merely_slow_is_listed_as_all_of_it_is_told(browser: Any) -> None:
    view = drill_scenes.in_trouble()
    for cell in view.drill.cells:
        if cell["last"] and cell["last"]["verdict"] in ("lost", "not_mended"):
            cell["last"]["verdict"] = "slow"
    view.drill.drills[0]["missed"] = 0
    with serving(view) as site:
        seen = visit(browser, site)

        assert seen.text("#verdict") == "3 scenarios did not pass"
        listed = seen.page.locator("#drills > li:first-child").get_attribute("data-state")
        assert listed == seen.page.locator("body").get_attribute("data-state") == "DEGRADED"
        seen.page.close()


def test_a_drill_that_goes_on_is_told_and_its_end_comes_by_itself(browser: Any) -> None:
    view = drill_scenes.running()
    with serving(view) as site:
        seen = visit(browser, site)
        assert seen.text("#verdict") == "A drill goes on: 12 of 37"

        site.change(lambda: _end(view))

        seen.page.get_by_text("Everything that is declared mends itself").wait_for()
        assert seen.page.locator("#proven + .further button").is_visible()
        seen.page.locator("#proven + .further button").click()
        assert seen.page.locator("#proven > .cell").count() == 37
        assert seen.troubles == []
        seen.page.close()


def _end(view: FakeSystemView) -> None:
    drill = view.drill.drills[0]
    drill |= {"is_running": False, "ended_at": datetime.now(UTC), "score": 100, "passed": 37}
    view.append(DrillEnded(drill_id=drill["id"], score=100, passed=37, failed=0, skipped=0))
