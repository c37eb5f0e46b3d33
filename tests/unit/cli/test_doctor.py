"""`doctor` tries the real machine, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from resile.cli import probes
from resile.cli.probes import Finding, Verdict, examine
from resile.contain.sandboxes import SandboxFacts, sandbox_facts

NAMES = (
    *("kernel", "cgroups", "cgroup limits", "cgroup.kill", "delegation", "pidfd"),
    *("sandbox", "user namespaces", "overlayfs", "landlock", "seccomp listener"),
    *("pressure (PSI)", "core files", "systemd", "inotify", "open files", "Chromium"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder for temporary files of our own: other doctors may be at work in /tmp."""
    return tmp_path_factory.mktemp("doctor")


@pytest.fixture(scope="module")
def findings(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place))
        sandbox_facts.cache_clear()
        return list(examine())


def test_every_capability_is_examined(findings):
    assert {finding.name for finding in findings} <= set(NAMES)
    assert len(findings) == len(NAMES)


def test_what_is_not_good_says_what_follows_and_how_to_change_it(findings):
    for finding in findings:
        assert finding.seen
        if finding.verdict is not Verdict.OK:
            assert finding.follows
            assert finding.fix


def test_nothing_is_left_behind(findings, place):
    assert not list(place.iterdir())
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


def test_command_prints_verdicts_and_advice(resile, monkeypatch):
    def look():
        yield Finding(name="a", verdict=Verdict.OK, seen="fine")
        yield Finding(name="b", verdict=Verdict.MISSING, seen="none", follows="so", fix="do")

    monkeypatch.setattr(probes, "PROBES", (look,))

    out = resile("doctor").out

    assert out.endswith("\nb: so\n  to change it: do\n")
    assert "a      ok       fine" in out
    assert resile("doctor", "--json").data["findings"][1] == {
        "name": "b",
        "verdict": "missing",
        "seen": "none",
        "follows": "so",
        "fix": "do",
    }


def test_probe_that_fails_is_a_finding(monkeypatch):
    def _odd_machine():
        raise FileNotFoundError(2, "No such file", "/proc/odd")
        yield

    monkeypatch.setattr(probes, "PROBES", (_odd_machine,))

    (finding,) = examine()

    assert (finding.name, finding.verdict) == ("odd machine", Verdict.WARN)
    assert "/proc/odd" in finding.seen


@pytest.mark.parametrize(
    ("facts", "verdict", "seen"),
    [
        (SandboxFacts(launcher="native"), Verdict.OK, "native launcher"),
        (SandboxFacts(launcher="python", missing=("slow",)), Verdict.WARN, "python launcher"),
        (SandboxFacts(launcher="", missing=("nothing",)), Verdict.MISSING, "no launcher works"),
    ],
)
def test_sandbox_is_told_as_it_is(monkeypatch, facts, verdict, seen):
    monkeypatch.setattr(probes, "sandbox_facts", lambda: facts)

    findings = {finding.name: finding for finding in probes._sandbox()}

    assert (findings["sandbox"].verdict, findings["sandbox"].seen) == (verdict, seen)
    assert findings["sandbox"].follows == "; ".join(facts.missing)
    others = ("user namespaces", "overlayfs", "landlock", "seccomp listener")
    assert {findings[name].verdict for name in others} == {Verdict.WARN}
    assert all(findings[name].follows and findings[name].fix for name in others)
