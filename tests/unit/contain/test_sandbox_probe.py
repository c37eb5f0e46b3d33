"""Which launcher is chosen, and what is told of the others."""

import errno
from collections.abc import Iterator

import pytest

from resile.contain.sandboxes import (
    LaunchFailed,
    SandboxFacts,
    bubblewrap,
    open_launcher,
    probe,
    sandbox_facts,
)
from resile.contain.sandboxes.probe import Attempt
from resile.errors import SpawnError

WORKS = Attempt(failed=None, is_observed=True)


def fails(stage: str, number: int = errno.EPERM) -> Attempt:
    return Attempt(failed=LaunchFailed(stage=stage, number=number))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    sandbox_facts.cache_clear()
    yield
    sandbox_facts.cache_clear()


@pytest.fixture
def facts_where(monkeypatch: pytest.MonkeyPatch):
    def facts_where(*, is_built: bool = True, program: str = "/bwrap", **outcomes: Attempt):
        monkeypatch.setattr(probe, "is_built", lambda: is_built)
        monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: program)

        def tried(launcher, *, has_overlay=True):
            found = outcomes.get(launcher.name, fails("namespaces"))
            is_overlay = found.failed is not None and found.failed.stage == "overlay"
            return WORKS if is_overlay and not has_overlay else found

        monkeypatch.setattr(probe, "_tried", tried)
        return sandbox_facts()

    return facts_where


def test_native_comes_first(facts_where) -> None:
    facts = facts_where(native=WORKS, python=WORKS, bubblewrap=WORKS)

    assert facts.launcher == "native"
    assert facts.has_overlay
    assert facts.has_seccomp_notify


def test_python_takes_over_without_a_compiler(facts_where) -> None:
    facts = facts_where(is_built=False, native=WORKS, python=WORKS)

    assert facts.launcher == "python"
    assert "not built" in facts.missing[0]


def test_bubblewrap_takes_over_where_only_it_may_make_namespaces(facts_where) -> None:
    facts = facts_where(bubblewrap=WORKS)

    assert facts.launcher == "bubblewrap"
    assert facts.uses_user_attributes
    assert any("python does not work" in text for text in facts.missing)


def test_missing_overlay_is_told_and_the_launcher_still_used(facts_where) -> None:
    facts = facts_where(native=fails("overlay", errno.EINVAL))

    assert (facts.launcher, facts.has_overlay) == ("native", False)
    assert any("no overlay" in text for text in facts.missing)
    assert facts.has_seccomp_notify


def test_box_that_cannot_be_observed_is_used_and_told(facts_where) -> None:
    facts = facts_where(native=fails("seccomp", errno.EBUSY))

    assert (facts.launcher, facts.has_seccomp_notify) == ("native", False)
    assert any("cannot be observed" in text for text in facts.missing)


def test_missing_proc_is_told(facts_where) -> None:
    facts = facts_where(native=Attempt(failed=None, is_observed=True, warned=("/proc",)))

    assert any("no /proc" in text for text in facts.missing)


def test_no_launcher_is_an_error_that_says_why(facts_where) -> None:
    facts = facts_where(program="")

    with pytest.raises(SpawnError, match="native does not work: the kernel gives it no namespaces"):
        open_launcher(facts)
    assert "no bubblewrap 0.11 or newer" in facts.missing


@pytest.mark.parametrize("name", ["native", "python"])
def test_launcher_is_opened_by_name_or_by_facts(name: str) -> None:
    assert open_launcher(name).name == open_launcher(SandboxFacts(launcher=name)).name == name


def test_unknown_launcher_is_an_error() -> None:
    with pytest.raises(SpawnError, match="no launcher 'magic'"):
        open_launcher("magic")


def test_this_machine_is_probed_for_real() -> None:
    facts = sandbox_facts()

    assert facts.launcher in ("native", "python", "bubblewrap", "")
    assert facts.launcher or facts.missing
