"""Playbooks as people write them: in resile.toml, and in files of their own."""

from pathlib import Path

import pytest
from tests.unit.config.conftest import Load, Problems

from resile.core.config.playbooks import SHIPPED
from resile.core.vocabulary import Cause
from resile.recover.playbooks.reading import playbooks_of, shipped

GOOD = """
name = "rotate"
why = "The disk is full of old reports."
then = "prune"

[match]
faults = ["disk_nearly_full"]

[[steps]]
do = "command"
command = ["true"]
timeout = "5s"
"""


def write(tmp_path: Path, **files: str) -> None:
    (tmp_path / "playbooks").mkdir()
    for name, text in files.items():
        (tmp_path / "playbooks" / f"{name}.toml").write_text(text)


def test_every_fault_of_every_file_is_told_at_once_with_its_place(
    problems: Problems, tmp_path: Path
) -> None:
    bad = """
name = "bad"
why = "Everything in it is wrong."
cool_down = "soon"
atempts = 2

[match]
faults = ["crush"]

[[steps]]
do = "restrt"

[[steps]]
do = "command"

[[steps]]
do = "stop"
command = ["true"]
"""
    write(tmp_path, bad=bad, worse="name = ", rotate=GOOD.replace('"prune"', '"prun"'))

    found = problems("")

    assert any(line.startswith('playbooks/bad.toml:4: cool_down: "soon" is not') for line in found)
    assert 'playbooks/bad.toml:5: atempts: unknown key (did you mean "attempts"?)' in found
    assert (
        'playbooks/bad.toml:8: match.faults[0]: "crush" is not known here (did you mean "crash"?)'
        in found
    )
    assert (
        'playbooks/bad.toml:11: steps[0].do: "restrt" is not known here (did you mean "restart"?)'
        in found
    )
    assert any(
        line.startswith("playbooks/bad.toml:13: steps[1].command: is missing") for line in found
    )
    assert any('steps[2].command: "stop" runs no command' in line for line in found)
    assert any(line.startswith("playbooks/worse.toml: cannot be read") for line in found)
    assert (
        'playbooks/rotate.toml:4: then: no playbook is called "prun" (did you mean "prune"?)'
        in found
    )


def test_every_cause_may_be_written_and_no_other_word(
    load: Load, problems: Problems, tmp_path: Path
) -> None:
    causes = ", ".join(f'"{cause}"' for cause in Cause)
    write(tmp_path, rotate=GOOD.replace("[match]", f"[match]\ncauses = [{causes}]"))
    books = {book.name: book for book in playbooks_of(load("").playbook)}
    assert books["rotate"].match.causes == frozenset(Cause)

    (tmp_path / "playbooks" / "rotate.toml").write_text(
        GOOD.replace("[match]", '[match]\ncauses = ["port_take"]')
    )

    (line,) = problems("")
    assert 'match.causes[0]: "port_take" is not known here (did you mean "port_taken"?)' in line


def test_a_circle_of_then_is_told_once(problems: Problems, tmp_path: Path) -> None:
    one = GOOD.replace('"prune"', '"two"').replace("rotate", "one")
    two = GOOD.replace('"prune"', '"one"').replace("rotate", "two")
    write(tmp_path, one=one, two=two)

    (line,) = problems("")

    assert "follow each other in a circle: " in line
    assert "one -> two -> one" in line


def test_a_start_about_a_check_is_refused(problems: Problems, tmp_path: Path) -> None:
    write(tmp_path, odd=GOOD.replace('"command"', '"start"').replace("command = [", "# ["))

    (line,) = problems("")

    assert '"start" works on a service' in line


@pytest.mark.parametrize("do", ["roll_back", "free_port", "rotate_secret"])
def test_step_about_a_service_is_refused_for_the_clock(
    problems: Problems, tmp_path: Path, do: str
) -> None:
    write(tmp_path, odd=f'why = "x"\n[match]\nfaults = ["clock_jump"]\n[[steps]]\ndo = "{do}"\n')

    (line,) = problems("")

    assert f'"{do}" works on a service, and clock_jump is about the machine' in line


def test_two_files_cannot_have_one_name(problems: Problems, tmp_path: Path) -> None:
    write(tmp_path, a=GOOD, b=GOOD)

    (line,) = problems("")

    assert line.startswith('playbooks/b.toml: name: "rotate" is a playbook already')


def test_a_folder_that_was_named_must_be_there(problems: Problems) -> None:
    (line,) = problems('[playbooks]\nfolder = "books"')

    assert line.startswith("resile.toml:2: playbooks.folder:")
    assert "is no folder" in line


def test_playbooks_come_from_files_tables_and_the_package(load: Load, tmp_path: Path) -> None:
    write(tmp_path, rotate=GOOD)
    table = """
[playbook.prune]
why = "Ours."
match = { faults = ["disk_nearly_full"] }
steps = [{ do = "prune" }]
"""

    config = load(table)

    books = {book.name: book for book in playbooks_of(config.playbook)}
    assert set(books) == {*SHIPPED, "rotate"}
    assert books["prune"].why == "Ours."
    assert not books["prune"].is_shipped
    assert books["rotate"].steps[0].timeout_s == 5.0
    assert type(config).model_validate(config.as_data()) == config


def test_the_shipped_ones_are_those_that_a_then_may_name() -> None:
    assert tuple(book.name for book in shipped()) == SHIPPED


@pytest.mark.parametrize("book", shipped(), ids=lambda book: book.name)
def test_a_shipped_playbook_tells_why_it_is_there(book: object) -> None:
    assert len(getattr(book, "why", "")) > 20
