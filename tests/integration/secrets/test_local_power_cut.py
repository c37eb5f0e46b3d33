"""A power cut at any moment loses no secret that was acknowledged, and locks nobody out of the store."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.crashes import CrashState, crash_states, read_tree
from tests.support.effects import trace_effects
from tests.support.secret_providers import local_provider
from tests.support.syscalls import has_strace

from resile.errors import SecretRevokedError, UnknownSecretError

pytestmark = pytest.mark.skipif(not has_strace(), reason="strace is not installed")

STATES_MAX = 250
"""Some 60 for each second on a quiet machine; found without a fault with 6,000, too."""
BEGIN = """
import sys
from pathlib import Path
from tests.support.secret_providers import local_provider

def tell(text):
    sys.stdout.write(text)
    sys.stdout.flush()

provider = local_provider(Path(sys.argv[1]))
"""
WRITES = f"""{BEGIN}
provider.write("a", b"one", token="1")
tell("one")
provider.write("a", b"two", token="2")
tell("two")
provider.write("a", b"three", token="3")
tell("three")
provider.destroy("a", "2")
tell("destroyed")
provider.close()
"""
REKEY = f"""{BEGIN}
assert provider.rekey() == 2
tell("rekeyed")
provider.write("a", b"three", token="3")
tell("three")
provider.close()
"""


def states(folder: Path, program: str) -> Iterator[CrashState]:
    start = read_tree(folder)
    effects = trace_effects([sys.executable, "-c", program, str(folder)], folder)
    yield from crash_states(effects, start=start, states_max=STATES_MAX)


def opened_as(state: CrashState, place: Path) -> dict[str, bytes | str]:
    """Open what a disk holds after a power cut, as whoever comes next does."""
    state.write_to(place)
    place.chmod(0o700)
    for path in place.iterdir():
        path.chmod(0o600)
    found: dict[str, bytes | str] = {}
    with closing(local_provider(place)) as provider:
        provider.examine()
        for version in ("current", "previous", "1", "2"):
            try:
                found[version] = provider.read("a", version=version).reveal_bytes()
            except UnknownSecretError:
                found[version] = "unknown"
            except SecretRevokedError:
                found[version] = "revoked"
        provider.write("a", b"more", token="more")
    return found


def test_what_was_acknowledged_is_there_after_a_power_cut(place: Path) -> None:
    with closing(local_provider(place / "store")) as provider:
        provider.write("b", b"other", token="b")
    order = ["unknown", b"one", b"two", b"three"]
    last = {"one": 1, "two": 2, "three": 3, "destroyed": 3}
    count = 0

    for state in states(place / "store", WRITES):
        found = opened_as(state, place / "after")

        told = max((last[note] for note in state.notes), default=0)
        assert order.index(found["current"]) >= told, state
        if "three" in state.notes:
            assert found["1"] == "revoked"
        if "destroyed" in state.notes:
            assert (found["previous"], found["2"]) == ("revoked", "revoked")
        count += 1
    assert count > STATES_MAX // 2


def test_a_store_opens_after_a_power_cut_while_its_master_key_was_changed(place: Path) -> None:
    with closing(local_provider(place / "store")) as provider:
        provider.write("a", b"one", token="1")
        provider.write("a", b"two", token="2")
    count = 0

    for state in states(place / "store", REKEY):
        found = opened_as(state, place / "after")

        assert found["1"] in ((b"one", "revoked") if found["2"] == b"two" else ()), state
        assert found["current"] in ((b"three",) if "three" in state.notes else (b"two", b"three"))
        count += 1
    assert count > STATES_MAX // 2
