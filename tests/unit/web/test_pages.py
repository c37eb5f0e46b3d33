import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.web import incident_scenes, scenes
from tests.unit.web.client import ask

from resile.web import create_app
from resile.web.assets import load_assets

PAGES = {
    "/": "index.html",
    "/runs": "runs.html",
    "/store": "store.html",
    "/policies": "policies.html",
    "/secrets": "secrets.html",
    "/drill": "drill.html",
}
PAGE_BYTES_MAX = 90_000
"""A page with all that it loads."""


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def test_the_dashboard_and_all_its_files_are_served_and_small() -> None:
    app = create_app(scenes.empty())
    used: set[str] = set(PAGES.values())
    for path in PAGES:
        page = ask(app, path)
        wanted = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
        for name in sorted(wanted):
            wanted |= set(re.findall(r"from '(/static/[^']+)'", ask(app, name).text))
        answers = [page, *(ask(app, name) for name in wanted)]

        assert all(answer.status_code == 200 for answer in answers)
        assert sum(len(answer.content) for answer in answers) < PAGE_BYTES_MAX
        used |= {name.removeprefix("/static/") for name in wanted}
    assert set(load_assets()) == used


@pytest.mark.parametrize("path", PAGES)
def test_every_page_leads_to_every_other(path: str) -> None:
    text = ask(create_app(scenes.empty()), path).text

    links = re.findall(
        r'<a href="([^"]+)"', text.partition('<nav class="tabs"')[2].partition("</nav>")[0]
    )

    assert links == list(PAGES)
    assert f'<a href="{path}" aria-current="page">' in text


@pytest.mark.parametrize("path", [*PAGES, "/status"])
def test_pages_have_neither_inline_script_nor_inline_style(path: str) -> None:
    text = ask(create_app(scenes.one_down()), path).text
    tags = Tags(text)

    assert "style" not in tags.names
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not [name for name, _ in tags.attributes if name == "style" or name.startswith("on")]
    assert "//" not in " ".join(
        v or ""
        for n, v in tags.attributes
        if n in {"src", "href"} and not (v or "").startswith("data:")
    )


def test_the_scripts_never_write_markup() -> None:
    scripts = [
        asset.content.decode() for name, asset in load_assets().items() if name.endswith(".js")
    ]

    assert scripts
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
    ):
        assert not [script for script in scripts if word in script]


def test_a_file_that_did_not_change_is_not_sent_again() -> None:
    app = create_app(scenes.empty())
    first = ask(app, "/static/app.css")

    again = ask(app, "/static/app.css", headers={"if-none-match": first.headers["etag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert first.headers["cache-control"] == "no-cache"


def test_the_plain_page_tells_the_same_story() -> None:
    text = ask(create_app(scenes.one_down()), "/status").text

    assert "Recovering scanner: killed by SIGKILL" in text
    assert "scanner crashed: killed by SIGKILL" in text
    assert "answers in 840ms" in text


def test_the_plain_page_shows_markup_as_text() -> None:
    text = ask(create_app(scenes.hostile()), "/status").text

    assert "img" not in Tags(text).names
    assert "&lt;img src=x onerror=&quot;" in text


def test_the_plain_page_of_an_empty_system_says_so() -> None:
    text = ask(create_app(scenes.empty()), "/status").text

    assert "Nothing is supervised yet" in text
    assert "<table>" not in text


def test_every_file_of_the_dashboard_is_short() -> None:
    folder = Path(__file__).parents[3] / "src/resile/web/static"

    assert {
        path.name: n for path in folder.iterdir() if (n := len(path.read_text().splitlines())) > 300
    } == {}


def test_the_plain_page_tells_a_withdrawal_from_a_recovery() -> None:
    view = scenes.empty()
    view.incident_list[:] = [
        incident_scenes.withdrawn(view.now),
        incident_scenes.resolved(view.now),
    ]

    text = ask(create_app(view), "/status").text

    assert text.count("<td>resolved, withdrawn</td>") == 1
    assert text.count("<td>resolved</td>") == 1
