"""The examples of two how-to pages on guards that run, each page as one program."""

import re
from pathlib import Path

import pytest

from resile.policies.registry import REGISTRY
from resile.policies.reloading import Loaded

PAGES = Path(__file__).parents[3] / "docs" / "how-to"


@pytest.fixture(autouse=True)
def own_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("guards", {}), ("in_code", {}), ("sections", {}), ("follows", None)):
        monkeypatch.setattr(REGISTRY, f"_{name}", value)


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(page: str, **names: object) -> int:
    code = blocks(page, "python")
    exec(compile("\n".join(code), page, "exec"), {"__name__": page, **names})
    return len(code)


def test_watch_your_guards() -> None:
    assert run("watch-your-guards.md") == 4


def test_change_policies_without_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = blocks("change-policies-without-restart.md", "toml")
    Path("resile.toml").write_text(first)
    # The page waits for two looks, of a second each.
    watch = Loaded.watch
    monkeypatch.setattr(Loaded, "watch", lambda self, every_s: watch(self, every_s / 20))

    assert run("change-policies-without-restart.md") == 4

    Path("resile.toml").write_text(second)
    with Loaded(Path("resile.toml"), REGISTRY) as loaded:
        assert loaded.reload()
        assert loaded.unused == ("reports", "users")
    watch_of_the_page = REGISTRY.follow(None)
    assert isinstance(watch_of_the_page, Loaded)
    watch_of_the_page.close()
