"""The page of the store in a real browser: the time line, what differs, and the way back."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import test_dashboard as dashboard
from tests.unit.web import scenes, store_scenes
from tests.unit.web.site import Site, serving

from resile.core.events import SnapshotTaken
from resile.testing.view import FakeSystemView
from resile.web import create_app

playwright = dashboard.playwright
pytestmark = dashboard.pytestmark
browser = dashboard.browser

TOKEN = "tokenOfThisDaemon-_0123456789"
NEWEST, OLDER = store_scenes.NEWEST, store_scenes.OLDER
MADE = f"{store_scenes.NEWEST[:8]}{'e' * 56}"


class Seen(dashboard.Seen):
    """A page, and everything that went wrong on it."""

    def row(self, snapshot_id: str) -> Any:
        return self.page.locator(f"[data-snapshot='{snapshot_id}']")

    def compare(self, snapshot_id: str) -> Any:
        row = self.row(snapshot_id)
        row.locator("summary").first.click()
        row.locator("button.now").click()
        row.locator(".changed p").first.wait_for()
        return row


@pytest.fixture
def view() -> FakeSystemView:
    return store_scenes.with_store()


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
    has_own_clock: bool = False,
) -> Seen:
    link = f"/store#token={token}" if token else "/store"
    seen = dashboard.a_page(browser, Seen, scheme=scheme, width=width)
    return dashboard.arrive(seen, site, link, has_own_clock=has_own_clock)


@pytest.mark.parametrize("make", [store_scenes.hostile_store, store_scenes.in_trouble])
def test_the_page_is_sound(browser: Any, make: Any) -> None:
    view = make()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        row = seen.compare(NEWEST)
        row.locator("[data-kind=modified] summary").click()
        row.locator(".diff").wait_for()
        seen.page.locator("#moment [type=submit]").click()
        seen.page.locator("#moment [data-kind=modified] summary").click()
        seen.page.locator("#moment .diff").wait_for()
        seen.page.locator("#keeper .progress").first.wait_for()

        for scheme, width in dashboard.LOOKS:
            seen.look(scheme, width)
            assert not seen.is_scrolling_sideways(), (scheme, width)
        assert seen.troubles == []
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        seen.page.close()


@pytest.mark.parametrize(
    ("make", "verdict", "command"),
    [
        (scenes.empty, "No snapshot has been taken yet", "resile snapshot DIR"),
        (store_scenes.missing, "There is no store yet", "resile snapshot DIR"),
    ],
)
def test_what_is_not_there_is_told_with_what_to_type(
    browser: Any, make: Any, verdict: str, command: str
) -> None:
    view = make()
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site, width=360)

        assert seen.page.locator("#verdict").inner_text() == verdict
        assert command in seen.page.locator("#snapshots code").inner_text()
        assert seen.troubles == []
        seen.page.close()


def test_the_store_is_told_at_a_glance(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)

    expect(seen.page.locator("#verdict")).to_have_text("Everything is kept, and sound")
    expect(seen.page.locator("#figure-snapshots")).to_have_text("75")
    expect(seen.page.locator("#figure-mended")).to_have_text("1 / 1")
    expect(seen.page.locator("#flaws li")).to_contain_text("mended from replica in 20 ms")
    expect(seen.page.locator("#health")).to_contain_text("Second store in step")
    expect(seen.row(OLDER).locator(".chip").first).to_have_text("protected")
    expect(seen.page.locator("#snapshots > li")).to_have_count(50)
    seen.page.locator("#further button").click()
    expect(seen.page.locator("#snapshots > li")).to_have_count(75)
    expect(seen.page.locator("#further")).to_be_hidden()
    seen.page.close()


def test_the_time_line_is_read_and_opened_by_the_keyboard(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    tracks = seen.page.locator(".track")
    expect(tracks).to_have_count(2)
    expect(tracks.first.locator("i")).to_have_count(63)

    tracks.first.press("ArrowRight")
    for _ in range(70):
        tracks.first.press("ArrowRight")
    expect(seen.page.locator("#tip")).to_contain_text("nightly, checked")
    tracks.first.press("Enter")

    expect(seen.row(NEWEST).locator("details").first).to_have_attribute("open", "")
    tracks.nth(1).locator("i").last.click()
    expect(seen.page.locator("#snapshots details[open]")).to_have_count(2)
    seen.page.close()


def test_a_moment_before_the_first_snapshot_is_refused_and_may_be_chosen_anew(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    form = seen.page.locator("#moment")
    form.evaluate("form => { form.at.min = ''; form.at.value = '1999-01-01T00:00:00'; }")
    form.locator("[type=submit]").click()
    expect(form.locator(".failed")).to_contain_text("no snapshot of /srv/kb is so old")
    expect(form.locator(".wishes button")).to_have_count(0)

    form.evaluate("form => { form.at.value = form.at.max; }")
    form.locator("[type=submit]").click()

    expect(form.locator(".failed")).to_be_hidden()
    expect(form.locator(".wishes button")).to_have_count(2)
    form.locator("select").select_option("/srv/policy/database")
    expect(form.locator(".wishes button")).to_have_count(0)
    assert view.store.decisions == []
    seen.page.close()


def test_a_folder_goes_back_to_a_moment_after_a_look_at_what_that_changes(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    form = seen.page.locator("#moment")
    form.locator("[type=submit]").click()
    expect(form.locator(".basis")).to_contain_text("and 3 commits after it")
    form.locator("[data-kind=modified] summary").click()
    expect(form.locator(".diff")).to_contain_text("deny: all")
    form.locator("input[type=checkbox]").first.uncheck()
    form.locator(".wishes .commit").click()
    expect(form.locator(".restored")).to_contain_text("Restored 2 files, 3.0 MiB, to /srv/kb")

    form.locator("[type=submit]").click()
    form.locator(".wishes .discard").click()
    expect(form.locator(".wishes .discard")).to_have_text("Really? This removes 1 newer path")
    form.locator(".wishes .discard").click()
    expect(form.locator(".restored")).to_contain_text("What was there before is kept: bbbbbbbbbb")

    some, everything = view.store.decisions
    chosen = form.evaluate("form => new Date(form.at.value).toISOString()")
    assert some[0] == everything[0] == "restore"
    assert some[1].replace("+00:00", ".000Z") == everything[1].replace("+00:00", ".000Z") == chosen
    assert (some[2:], everything[2]) == ((("latest", "rules.yaml"), "dashboard"), ())
    seen.page.close()


def test_whoever_only_reads_sees_no_moments(browser: Any, site: Site) -> None:
    seen = visit(browser, site, token="")

    playwright.expect(seen.page.locator("#moment-section")).to_be_hidden()
    playwright.expect(seen.page.locator("#keeper-section")).to_be_visible()
    seen.page.close()


def test_what_the_storekeeper_does_is_shown_as_it_goes_on(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site, has_own_clock=True)
    keeper = seen.page.locator("#keeper")
    bar = keeper.locator("[role=progressbar]").first
    expect(keeper.locator("li").first).to_contain_text("Taking a snapshot of kb")
    expect(keeper.locator("li").first).to_contain_text("410 files, 24 MiB of about 96 MiB")
    expect(bar).to_have_attribute("aria-valuenow", "25")
    expect(keeper.locator("li").nth(1)).to_contain_text("since 7 h")
    expect(seen.page.locator("#keeper-next")).to_contain_text("next: second store in")

    def go_on() -> None:
        view.store.facts["keeper"]["jobs"][0] |= {"files": 900, "bytes": 72 << 20}

    site.change(go_on)
    seen.page.clock.fast_forward(2_000)
    expect(bar).to_have_attribute("aria-valuenow", "75")
    site.change(lambda: view.store.facts["keeper"].update(jobs=[], next=None))
    seen.page.clock.fast_forward(2_000)
    expect(keeper.locator("li")).to_have_count(1)
    expect(keeper.locator("li")).to_contain_text("nothing is due")
    site.change(lambda: view.store.facts.update(keeper=None))
    seen.page.evaluate("location.hash = '#again'")
    expect(seen.page.locator("#keeper-section")).to_be_hidden()
    seen.page.close()


def test_a_new_snapshot_appears_by_itself_and_silence_is_never_shown_as_good(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    seen = visit(browser, site)

    def take() -> None:
        view.store.put(MADE, at=view.now)
        facts = {"files": 1, "bytes": 1, "new_bytes": 1, "stored_bytes": 1, "duration_s": 0.1}
        view.append(SnapshotTaken(source="/srv/kb", snapshot_id=MADE, place="/srv/store", **facts))

    site.change(take)

    playwright.expect(seen.row(MADE)).to_be_visible()
    playwright.expect(seen.page.locator("#figure-snapshots")).to_have_text("76")
    site.stop()
    seen.page.wait_for_selector("body[data-stale]", state="attached")
    assert seen.page.locator("#verdict").inner_text().startswith("No answer from resile since")
    seen.page.close()


def test_without_the_token_there_is_a_command_and_no_button(browser: Any, site: Site) -> None:
    expect = playwright.expect
    seen = visit(browser, site, token="")
    expect(seen.page.locator("#access")).to_contain_text("resile dashboard")
    row = seen.row(NEWEST)
    row.locator("summary").first.click()

    expect(row.locator(".how code")).to_have_text(
        f"resile restore {NEWEST[:10]} --in-place --dry-run"
    )
    expect(row.locator("button")).to_have_count(0)
    assert seen.troubles == []
    seen.page.close()


def test_some_paths_are_reviewed_and_restored(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.compare(NEWEST)
    expect(row.locator(".changes > li")).to_have_count(5)
    expect(row.locator(".changes input")).to_have_count(3)
    row.locator("[data-kind=modified] summary").click()
    expect(row.locator(".diff .add")).to_have_text("+  - deny: all")

    row.locator("[data-kind=replaced] input").uncheck()
    button = row.locator("button.commit")
    expect(button).to_have_text("Restore these 2 of 3")
    button.click()

    expect(row.locator(".restored")).to_contain_text("Restored 2 files, 3.0 MiB, to /srv/kb")
    expect(row.locator(".restored code")).to_have_text("b" * 10)
    expect(row.locator(".changes")).to_have_count(0)
    assert view.store.decisions == [
        ("restore", NEWEST, ("docs/gone.md", "rules.yaml"), "dashboard")
    ]
    assert seen.troubles == []
    seen.page.close()


def test_all_is_restored_when_it_was_asked_twice(
    browser: Any, site: Site, view: FakeSystemView
) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.compare(NEWEST)
    button = row.locator("button.discard")

    button.click()
    expect(button).to_have_text("Really? This removes 1 newer path")
    assert view.store.decisions == []
    button.click()

    expect(row.locator(".restored")).to_contain_text("Restored 1,200 files")
    assert view.store.decisions == [("restore", NEWEST, (), "dashboard")]
    seen.page.close()


def test_a_snapshot_is_protected_and_let_go(browser: Any, site: Site, view: FakeSystemView) -> None:
    expect = playwright.expect
    seen = visit(browser, site)
    row = seen.row(NEWEST)
    row.locator("summary").first.click()
    row.locator("button.protect").click()
    expect(row.locator(".chip").first).to_have_text("protected")
    expect(row.locator("button.protect")).to_have_text("Unprotect")
    row.locator("button.protect").click()
    expect(row.locator("button.protect")).to_have_text("Protect")

    assert [one[0] for one in view.store.decisions] == ["protect", "unprotect"]
    seen.page.close()


def test_hostile_text_is_shown_as_text(browser: Any) -> None:
    expect = playwright.expect
    view = store_scenes.hostile_store()
    shown = "x⟨U+202E⟩gpj.exe⟨U+2066⟩⟨U+200B⟩"
    with serving(view, app=create_app(view, token=TOKEN)) as site:
        seen = visit(browser, site)
        row = seen.compare(NEWEST)
        row.locator("[data-kind=modified] summary").click()
        expect(row.locator(".diff .add")).to_have_text(f"+{shown}⟨U+001B⟩[2J")
        row.locator("button.commit").click()
        expect(row.locator(".failed")).to_contain_text(scenes.HOSTILE + shown)

        expect(row.locator(".chip").nth(1)).to_have_text(scenes.HOSTILE + shown)
        expect(row.locator(".facts")).to_contain_text(shown)
        for place in ("#sub", "#trouble", "#health", "#flaws", ".lane .source", ".path >> nth=0"):
            expect(seen.page.locator(place)).to_contain_text(scenes.HOSTILE + shown)
        assert "\u202e" not in seen.page.locator("body").inner_text()
        assert seen.page.locator("img").count() == 0
        assert seen.page.evaluate("document.body.dataset.pwned") is None
        seen.page.close()
