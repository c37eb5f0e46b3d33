import pytest
from tests.support import thorough
from tests.support.thorough import some, times


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(thorough, "IS_THOROUGH", False)
    return monkeypatch


@pytest.mark.usefixtures("sampled")
def test_a_sample_has_both_ends_and_keeps_the_order() -> None:
    found = some(range(100), 10)

    assert (found[0], found[-1]) == (0, 99)
    assert len(set(found)) == 10
    assert found == sorted(found)


@pytest.mark.usefixtures("sampled")
def test_what_is_few_is_tried_whole() -> None:
    assert some(range(10), 10) == list(range(10))
    assert some("", 2) == []


def test_another_seed_gives_another_sample_and_the_same_gives_the_same(
    sampled: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in "aba":
        sampled.setattr(thorough, "SEED", seed)
        found.append(some(range(1000), 10))

    assert found[0] == found[2] != found[1]
    assert "RESILE_SAMPLE=b tries the same again" in capsys.readouterr().out


def test_everything_is_tried_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert times(1, 2) in (1, 2)
    monkeypatch.setattr(thorough, "IS_THOROUGH", True)

    assert some(range(100), 10) == list(range(100))
    assert times(1, 2) == 2
