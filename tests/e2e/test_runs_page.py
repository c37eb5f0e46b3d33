"""The page of contained runs in a real browser: what is shown, and what a person may decide."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import test_dashboard as dashboard
from tests.unit.web import incident_scenes, scenes
from tests.unit.web.site import Site, serving

from resile.core.events import RunBegun, RunsHeld
from resile.core.vocabulary import RunReason, RunState
from resile.testing.view import FakeSystemView
from resile.web import create_app

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

TOKEN = "tokenOfThisDaemon-_0123456789"
WAITING, RUNNING, CONFLICT = scenes.WAITING, scenes.RUNNING, scenes.CONFLICT


class Seen(dashboard.Seen):
    """A page, and everything that went wrong on it."""

    def row(self, run_id: str) -> Any:
        return self.page.locator(f"[data-run={run_id}]")

    def open(self, run_id: str) -> Any:
        row = self.row(run_id)
        row.locator("summary").first.click()
        return row


@pytest.fixture
def view() -> FakeSystemView:
    return scenes.with_runs()


@pytest.fixture
def site(view: FakeSystemView) -> Iterator[Site]:
    playwright.expect.set_options(timeout=dashboard.WAIT_MS)
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        yield site


def visit(
    browser: Any,
    site: Site,
    *,
    token: str = TOKEN,
    scheme: str = "light",
    width: int = 1280,
) -> Seen:
    link = f"/runs#token={token}" if token else "/runs"
    return dashboard.arrive(dashboard.a_page(browser, Seen, scheme=scheme, width=width), site, link)


@pytest.mark.parametrize("make", [scenes.with_runs, scenes.hostile_runs, scenes.empty])
def test_the_page_is_sound(browser: Any, make: Any) -> None:
    view = make()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        for run_id in view.contained.known:
            seen.open(run_id)
        for run_id in view.contained.diffs:
            seen.row(run_id).locator(".changes").wait_for()

        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        seen.page.close()


def test_runs_are_shown_with_what_they_use(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)

    expect(seen.page.locator("#verdict")).to_have_text("2 runs wait for a decision")
    expect(seen.page.locator("#open > .run")).to_have_count(4)
    expect(seen.page.locator("#closed > .run")).to_have_count(4)
    late = seen.row(scenes.TIMEOUT)
    expect(late.locator(".command")).to_have_text("pytest -q")
    expect(late.locator(".word")).to_have_text("Undone")
    expect(late.locator(".reason")).to_have_text("timeout")
    row = seen.open(scenes.LOOPING)
    meters = row.locator(".meter")
    expect(meters).to_have_count(6)
    expect(meters.nth(2)).to_contain_text("500 MiB of 512 MiB")
    expect(meters.nth(2).locator(".bar")).to_have_attribute("data-close", "very")
    expect(meters.nth(3).locator(".bar")).to_have_attribute("aria-valuenow", "100")
    assert seen.troubles == []
    seen.page.close()


def test_what_never_started_is_not_counted_as_ended_by_force(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)

    expect(seen.page.locator("#figure-stopped")).to_have_text("2")
    expect(seen.page.locator("#figure-unstarted")).to_have_text("1")
    row = seen.row(scenes.UNSTARTED)
    expect(row).to_have_attribute("data-state", "DEGRADED")
    expect(row.locator(".word")).to_have_text("Not started")
    expect(seen.row(incident_scenes.ESCAPED)).to_have_attribute("data-state", "DOWN")
    seen.page.close()


def test_a_closed_run_shows_what_it_used_of_its_limits(browser: Any, site: Site) -> None:
    seen = visit(browser, site)
    meters = seen.open(incident_scenes.ESCAPED).locator(".meter")

    playwright.expect(meters.filter(has_text="mean cpu").locator(".bar")).to_be_visible()
    playwright.expect(meters.filter(has_text="most memory")).to_contain_text("of 512 MiB")
    seen.page.close()


def test_a_hold_is_told_and_goes_away(browser: Any, site: Site, view: FakeSystemView) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    note = seen.page.locator("#held")
    expect(note).to_be_hidden()

    def hold() -> None:
        view.contained.held_by = {"who": "ann", "why": scenes.TURNED, "at": view.now.isoformat()}
        view.append(RunsHeld(who="ann"), at=view.now)

    site.change(hold)

    expect(note).to_contain_text("New runs are held by ann")
    expect(note).to_contain_text("x⟨U+202E⟩gpj.exe")
    expect(note).to_contain_text("resile resume")
    assert seen.troubles == []
    seen.page.close()


def test_a_new_run_appears_by_itself(browser: Any, site: Site, view: FakeSystemView) -> None:
    seen = visit(browser, site)

    def begin() -> None:
        view.contained.put("run_01NEW", RunState.RUNNING, began_at=view.now, command=["new"])
        view.append(RunBegun(run_id="run_01NEW", command=("new",), commit="auto", supervisor_pid=1))

    site.change(begin)

    playwright.expect(seen.row("run_01NEW").locator(".command")).to_have_text("new")
    seen.page.close()


def test_without_the_token_there_is_a_command_and_no_button(browser: Any, site: Site) -> None:
    expect = playwright.expect
    for token in ("", "wrong"):
        seen = visit(browser, site, token=token)
        expect(seen.page.locator("#access")).to_contain_text("resile dashboard")
        row = seen.open(WAITING)
        expect(row.locator(".changed code")).to_have_text(f"resile diff {WAITING}")
        expect(row.locator(".changes")).to_have_count(0)
        expect(seen.open(RUNNING).locator(".meter").first).to_be_visible()

        expect(seen.page.locator(".body button")).to_have_count(0)
        assert seen.troubles == []
        seen.page.close()


def test_the_token_leaves_the_address_and_stays_in_the_tab(browser: Any, site: Site) -> None:
    seen = visit(browser, site)

    assert seen.page.url == f"{site.url}/runs"
    seen.page.reload()
    seen.page.wait_for_selector("body[data-ready]", state="attached")
    playwright.expect(seen.open(WAITING).locator("button.commit")).to_have_text("Commit")
    assert seen.page.locator("#access").is_hidden()
    seen.page.close()


def test_changes_are_reviewed_and_committed(browser: Any, site: Site, view: FakeSystemView) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.open(WAITING)
    expect(row.locator(".diff .add")).to_have_text("+  - allow: all")
    expect(row.locator(".diff .del")).to_have_text("-  - deny: all")
    expect(row.locator(".tried li")).to_contain_text("connect 169.254.169.254:80")

    row.locator(".changes input").nth(1).uncheck()
    expect(row.locator("button.commit")).to_have_text("Commit 2 of 3")
    row.locator("button.commit").click()

    expect(seen.page.locator(f"#closed [data-run={WAITING}] .word")).to_have_text("Committed")
    expect(seen.page.locator("#sub")).to_have_text(f"{WAITING}: committed, 2 changes")
    assert view.contained.decisions == [("commit", WAITING, ("rules.yaml", "latest"), "dashboard")]
    assert seen.troubles == []
    seen.page.close()


@pytest.mark.parametrize(("run_id", "verb"), [(WAITING, "discard"), (RUNNING, "kill")])
def test_what_cannot_be_taken_back_is_asked_twice(
    browser: Any, site: Site, view: FakeSystemView, run_id: str, verb: str
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    button = seen.open(run_id).locator(f"button.{verb}")
    button.click()
    expect(button).to_have_text(f"Really {verb}?")
    assert view.contained.decisions == []
    button.click()

    expect(seen.page.locator(f"#closed [data-run={run_id}] .word")).to_have_text("Undone")
    assert view.contained.decisions == [(verb, run_id, (), "dashboard")]
    seen.page.close()


def test_a_conflict_is_told_path_by_path(browser: Any, site: Site, view: FakeSystemView) -> None:
    view.contained.conflicts[CONFLICT] = (("rules.yaml", "was modified"), ("x", "was deleted"))
    seen = visit(browser, site)
    row = seen.open(CONFLICT)

    row.locator("button.commit").click()

    failed = row.locator(".failed")
    playwright.expect(failed).to_contain_text("Not committed: 2 paths were changed")
    playwright.expect(failed.locator("li")).to_have_text(
        ["rules.yaml was modified", "x was deleted"]
    )
    playwright.expect(row.locator("button.commit")).to_be_enabled()
    seen.page.close()


def test_hostile_text_is_shown_as_text(browser: Any) -> None:
    expect = playwright.expect
    view = scenes.hostile_runs()
    view.contained.conflicts[WAITING] = ((scenes.HOSTILE, scenes.HOSTILE),)
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        row = seen.open(WAITING)
        expect(row.locator(".command")).to_contain_text(scenes.HOSTILE)
        expect(row.locator(".message")).to_have_text(scenes.HOSTILE)
        expect(row.locator(".tried")).to_contain_text(scenes.HOSTILE)
        expect(row.locator(".diff .del")).to_have_text(f"-{scenes.HOSTILE}")
        row.locator("button.commit").click()
        expect(row.locator(".failed li")).to_contain_text(scenes.HOSTILE)

        for place in (".command", ".path", ".diff .add"):
            expect(row.locator(place)).to_contain_text("x⟨U+202E⟩gpj.exe⟨U+2066⟩⟨U+200B⟩")
        expect(row.locator(".diff .add")).to_contain_text("⟨U+001B⟩[2J")
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        seen.page.close()


def test_a_lost_run_and_a_silent_daemon_are_never_shown_as_good(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    view.contained.put("run_01LOST", RunState.RUNNING, began_at=view.now, is_orphan=True)
    view.contained.put("run_01OOM", RunState.DISCARDED, began_at=view.now, reason=RunReason.OOM)
    seen = visit(browser, site)
    playwright.expect(seen.row("run_01LOST").locator(".word")).to_have_text("Lost")
    assert seen.row("run_01LOST").get_attribute("data-state") == "UNKNOWN"
    assert seen.row("run_01OOM").get_attribute("data-state") == "DOWN"

    site.stop()

    seen.page.wait_for_selector("body[data-stale]", state="attached")
    assert seen.page.locator("#verdict").inner_text().startswith("No answer from resile since")
    seen.page.close()
