"""The pytest plugin, in a run of its own."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import pytest
    import resile

    @resile.guard("plugged", retry=3, breaker=True)
    def plugged() -> int:
        return 1

    def test_fixture(policies):
        policies.fail("plugged", 2)
        assert plugged() == 1
        policies.assert_attempts("plugged", 3)

    @pytest.mark.resile_policies(attempts=1)
    def test_marker(policies):
        policies.fail("plugged", error=OSError)
        with pytest.raises(OSError):
            plugged()

    @pytest.mark.resile_policies
    def test_marker_alone():
        resile.breaker("plugged").trip()
        with pytest.raises(resile.BreakerOpenError):
            plugged()

    def test_without():
        assert resile.breaker("plugged").state is resile.CLOSED
        assert plugged() == 1
"""


def test_the_fixture_and_the_marker_work(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)

    run = pytester.runpytest_inprocess(
        "-p", "no:resile", "-p", "resile.testing.plugin", "-p", "no:randomly", "--strict-markers"
    )

    run.assert_outcomes(passed=4)


def test_the_plugin_loads_next_to_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import resile.testing.plugin; "
        "print(*(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )

    assert set(done.stdout.split()) == {
        "resile",
        "resile.errors",
        "resile.testing",
        "resile.testing.plugin",
    }
