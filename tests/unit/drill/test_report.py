"""A drill as one page."""

import re
from datetime import timedelta
from html.parser import HTMLParser

from tests.unit.drill.stories import CRASH, FULL, HANG, NOW, ago, drill, proved, told

from resile.core.events import DrillProved, Event, ProcessExited
from resile.core.vocabulary import DrillVerdict
from resile.drill.history import History
from resile.drill.report import Report, report_html
from resile.drill.retelling import retell

V = DrillVerdict
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=x>\u202e'\"&"


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(*results: DrillProved, before: list[Event] | None = None, system: str = "app") -> Page:
    events = drill("drl_1", ago(hours=1), *results)
    exit_at = events[0].at + timedelta(seconds=1)
    exited = ProcessExited(service=system, generation=1, pid=7, signal="SIGKILL")
    story = [events[0], told(exited, exit_at), *events[1:]]
    history = History()
    history.add([*(before or []), *story])
    past = history.find("drl_1")
    assert past is not None
    report = Report(
        system=system,
        drill=retell(past, story),
        points=73,
        proven=1,
        cells=4,
        comparison=history.comparisons()["drl_1"],
        now=NOW,
    )
    return Page(report_html(report))


def test_nothing_from_outside_becomes_markup_and_nothing_is_loaded_from_elsewhere() -> None:
    result = proved(f"{HOSTILE}:{HOSTILE}", V.NOT_MENDED, fault=HOSTILE, why=HOSTILE)

    page = page_of(result, system=HOSTILE)

    assert not page.all("script")
    assert not page.all("img")
    assert "⟨U+202E⟩" in page.text
    assert "\u202e" not in page.text
    links = [
        v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href")
    ]
    assert links == ["data:,"]
    assert not re.search(r"url\(|@import|https?:", "".join(page.words))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_drill_that_proved_nothing_has_a_page() -> None:
    page = page_of()

    assert "Nothing was proven" in page.text
    assert "73 of 100" in page.text


def test_what_did_not_pass_is_open_and_says_why() -> None:
    page = page_of(
        proved(CRASH, acked=80, lost=0, failed=1),
        proved(HANG, V.LOST, acked=20, lost=2, why="two writes were gone"),
        proved(FULL, V.SKIPPED, why="it has no disk of its own"),
    )

    assert ["open" in details for details in page.all("details")] == [False, True, False]
    assert "1 scenario of 3 did not pass" in page.text
    assert "two writes were gone" in page.text
    assert "it has no disk of its own" in page.text
    assert "Writes lost 2 of 100" in page.text
    assert "1 request failed meanwhile" in page.text


def test_what_was_not_tried_any_more_did_not_fail() -> None:
    page = page_of(proved(CRASH), proved(HANG, V.INTERRUPTED, why="SIGINT came"))

    assert "Passed 1" in page.text
    assert "Not tried 1" in page.text
    assert "did not pass" not in page.text
    assert not any("open" in details for details in page.all("details"))


def test_time_line_counts_from_the_fault() -> None:
    page = page_of(proved(CRASH))

    assert "+0.00 s app (pid 7) ended: killed by SIGKILL" in page.text


def test_figures_and_their_target_are_drawn_to_scale() -> None:
    page = page_of(proved(CRASH, detected_s=0.52, recovered_s=1.04, recovery_s_max=2.0))

    styles = [bar["style"] for bar in page.all("i")]
    assert styles == ["width:25.0%", "left:25.0%;width:25.00%", "left:96.15%"]


def test_what_got_worse_stands_before_what_got_better() -> None:
    before = drill(
        "drl_0", ago(1), proved(CRASH, drill="drl_0"), proved(HANG, V.SLOW, drill="drl_0")
    )

    page = page_of(proved(HANG), proved(CRASH, recovered_s=60.0), before=before)

    assert [item["data-tone"] for item in page.all("li") if "data-tone" in item] == ["bad", "ok"]
    assert "recovered after 1m, before 1.2s" in page.text


def test_drill_without_regressions_says_so_and_a_first_drill_says_nothing_of_it() -> None:
    before = drill("drl_0", ago(1), proved(CRASH, drill="drl_0"))

    assert "Nothing got worse" in page_of(proved(CRASH), before=before).text
    assert "Nothing got worse" not in page_of(proved(CRASH)).text
