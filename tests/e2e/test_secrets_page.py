"""The page of secrets in a real browser: who holds what, what waits, and an operator's hand on it."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import test_dashboard as dashboard
from tests.unit.web import scenes, secret_scenes
from tests.unit.web.secret_scenes import CANARY, DB, KEY, THIEF
from tests.unit.web.site import Site, serving

from resile.core.events import RotationWaits
from resile.core.vocabulary import RotationReason, RotationStep
from resile.errors import RejectedError
from resile.testing.view import FakeSystemView
from resile.web import create_app

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

TOKEN = "tokenOfThisDaemon-_0123456789"


class Seen(dashboard.Seen):
    """A page, and everything that went wrong on it."""

    def row(self, name: str) -> Any:
        return self.page.locator(f"[data-secret='{name}']")


@pytest.fixture
def view() -> FakeSystemView:
    return secret_scenes.in_trouble()


@pytest.fixture
def site(view: FakeSystemView) -> Iterator[Site]:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        yield site


def visit(
    browser: Any, site: Site, *, token: str = TOKEN, scheme: str = "light", width: int = 1280
) -> Seen:
    link = f"/secrets#token={token}" if token else "/secrets"
    return dashboard.arrive(dashboard.a_page(browser, Seen, scheme=scheme, width=width), site, link)


def test_the_page_is_sound_whatever_names_say(browser: Any) -> None:
    view = secret_scenes.hostile()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        for button in ("rotate", "release"):
            seen.page.locator(f"button.{button}").first.click()
        seen.page.locator("select").select_option("compromise")
        seen.page.locator(".cut form").wait_for()

        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        assert scenes.HOSTILE in seen.page.locator(".secret .name").first.inner_text()
        assert "\u202e" not in seen.page.locator("body").inner_text()
        seen.page.close()


def test_without_a_secret_the_page_says_what_to_write(browser: Any) -> None:
    view = secret_scenes.none()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site, width=360)

        assert seen.page.locator("#verdict").inner_text() == "No secret is kept yet"
        assert '[secret."db/password"]' in seen.page.locator("#secrets pre").inner_text()
        assert "resile secrets put" in seen.page.locator("#secrets code").inner_text()
        assert not seen.is_scrolling_sideways()
        assert seen.troubles == []
        seen.page.close()


def test_what_services_wait_for_is_not_in_order_and_what_is_gone_is_not_offered(
    browser: Any,
) -> None:
    view = secret_scenes.well()
    view.secrets.rows[0].update(can_roll_back=False)
    view.secrets.rows[1].update(version="", created_at=None, age_s=None, can_roll_back=False)
    view.secrets.rows[2].update(version="", created_at=None, age_s=None, is_made_when_read=True)
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site, width=360)

        assert seen.page.locator("#verdict").inner_text() == f"{KEY} has no value yet"
        assert seen.row(KEY).locator(".word").inner_text() == "Not written yet"
        assert "old" not in seen.row(KEY).inner_text()
        assert seen.row("smtp/relay").locator(".word").inner_text() == "Made when read"
        assert not seen.row(DB).locator("button.rollback").is_visible()
        assert seen.row(DB).locator("button.rotate").is_visible()
        assert seen.troubles == []
        seen.page.close()


def test_secrets_that_are_not_known_yet_are_not_shown_as_none(browser: Any) -> None:
    view = secret_scenes.none()
    starting = "the secretkeeper is being started"
    view.secrets.provider = {"kind": "", "is_well": False, "reason": starting}
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)

        assert seen.page.locator("#verdict").inner_text() == "The secrets are not known yet"
        assert seen.page.locator("#trouble").text_content() == starting
        assert seen.page.locator("#secrets").inner_text() == "Nothing is known yet."
        seen.page.close()


def test_secrets_rotations_and_odd_access_are_told_at_a_glance(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    page, row = seen.page, seen.row(DB)

    expect(page.locator("#verdict")).to_have_text(f"1 client is cut off: {THIEF}")
    expect(page.locator("#trouble")).to_contain_text("vault gives no secrets: https://vault")
    expect(page.locator("#figure-current")).to_have_text("2 / 3")
    expect(page.locator(".secret .name")).to_have_text([DB, KEY, "smtp/relay", CANARY])
    expect(page.locator(".secret .word")).to_have_text(
        ["Rotation waits", "Overdue", "Current", "Canary"]
    )
    expect(row.locator(".holders li")).to_have_text(
        ["reasoner (pid 4326) · still version 12", "dispatcher (pid 4312) · version 13"]
    )
    stages = [step.get_attribute("data-stage") for step in row.locator(".steps li").all()]
    assert stages == ["done"] * 5 + ["held", "todo"]
    assert row.locator("[aria-current=step]").inner_text().startswith("drained")
    expect(row.locator(".rotation .reason")).to_contain_text("Waits for reasoner (pid 4326)")
    expect(seen.row(KEY).locator(".next")).to_contain_text("5 h late")
    expect(seen.row(CANARY).locator("button:visible")).to_have_count(0)
    expect(page.locator("#anomalies .entry").first).to_contain_text("100 of 100")
    expect(page.locator("#rotations .why").first).to_have_text("cut off: scanner (pid 4319)")
    assert seen.troubles == []
    page.close()


def test_a_rotation_warns_what_it_cuts_and_says_what_it_cut(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.row(DB)
    row.locator("button.rotate").click()
    expect(row.locator(".warning")).to_contain_text("Nobody is cut off")
    row.locator("form button[type=submit]").click()
    assert view.secrets.rotated == [], "a reason is wanted"

    row.locator("select").select_option("compromise")
    expect(row.locator(".warning")).to_contain_text("dispatcher (pid 4312), reasoner (pid 4326)")
    assert row.locator("form input").bounding_box()["width"] > 300, "there is room for the reason"
    view.secrets.cut = ["reasoner (pid 4326)"]
    row.locator("form input").fill("INC-12")
    row.locator("form input").press("Enter")

    expect(row.locator(".restored")).to_have_text("Rotated in 232 ms: version 14 is current.")
    expect(row.locator(".failed")).to_have_text("Cut off: reasoner (pid 4326).")
    expect(row.locator(".version")).to_have_text("version 14")
    expect(row.locator("button.rotate")).to_be_focused()
    assert view.secrets.rotated == [(DB, RotationReason.COMPROMISE, "INC-12", "dashboard")]
    assert seen.troubles == []
    seen.page.close()


def test_rolling_back_and_releasing_are_asked_twice_and_refusals_are_told(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    page, row = seen.page, seen.row(KEY)
    row.locator("button.rollback").click()
    page.keyboard.press("Escape")
    expect(row.locator("form")).to_have_count(0)
    view.secrets.failure = RejectedError("version 2 was retired", hint="rotate it instead")
    row.locator("button.rollback").click()
    page.keyboard.press("Enter")
    expect(row.locator(".failed")).to_have_text("version 2 was retired rotate it instead")
    row.locator("button.rollback").click()
    page.keyboard.press("Enter")
    expect(row.locator(".restored")).to_have_text("The value before is version 4 now.")

    page.locator("button.release").click()
    page.locator(".cut button[type=submit]").click()
    expect(page.locator("#quarantined-section")).to_be_hidden()

    assert view.secrets.rolled_back == [(KEY, "dashboard")]
    assert view.secrets.released == [(THIEF, "dashboard")]
    assert [text for text in seen.troubles if "409" not in text] == []
    page.close()


def test_without_the_token_there_is_a_command_and_no_button(browser: Any, site: Site) -> None:
    seen = visit(browser, site, token="")

    playwright.expect(seen.page.locator("#access")).to_contain_text("resile dashboard")
    playwright.expect(seen.page.locator("main button:visible")).to_have_count(0)
    playwright.expect(seen.row(CANARY).locator(".word")).to_have_text("Current")
    assert seen.troubles == []
    seen.page.close()


def test_a_rotation_that_waits_shows_by_itself_and_silence_is_never_shown_as_good(
    browser: Any,
) -> None:
    expect = playwright.expect
    expect.set_options(timeout=dashboard.WAIT_MS)
    view = secret_scenes.well()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        expect(seen.page.locator("#verdict")).to_have_text("All 4 secrets are in order")

        def waits() -> None:
            secret_scenes.waiting(view)
            step = RotationStep.PROMOTED
            view.append(RotationWaits(rotation_id="rot_2", name=DB, step=step))

        site.change(waits)

        expect(seen.page.locator("#verdict")).to_have_text(f"The rotation of {DB} waits")
        site.stop()
        seen.page.wait_for_selector("body[data-stale]", state="attached")
        assert seen.page.locator("#verdict").inner_text().startswith("No answer from resile since")
        seen.page.close()
