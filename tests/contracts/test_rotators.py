"""What every rotator promises, whatever it changes.

A rotator joins by a line of `STAGES` in tests/support/rotators.py.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.rotators import NAME, STAGES, Stage

from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import OperationError
from resile.secrets import VALUE_BYTES_MAX, Rotator, Secret, Turn


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    made: Stage = request.param(request, tmp_path)
    made.provider.write(NAME, made.begin(), token="by hand")
    return made


def begun(stage: Stage, number: int = 1) -> Turn:
    return Turn(
        rotation_id=f"rotation_{number}",
        name=NAME,
        reason=RotationReason.MANUAL,
        before=stage.provider.read(NAME),
    )


def prepared(stage: Stage, turn: Turn) -> Turn:
    """Keep the candidate where the engine does."""
    value = stage.rotator.prepare(turn)
    stage.provider.write(NAME, value, stage=SecretStage.PENDING, token=turn.rotation_id)
    return replace(turn, after=stage.provider.read(NAME, version="pending"))


def promoted(stage: Stage, turn: Turn) -> Turn:
    stage.provider.promote(NAME, token=turn.rotation_id, expect=None)
    return turn


def is_refused(stage: Stage, secret: Secret | None) -> bool:
    """Tell whether a credential opens nothing, where that can be."""
    assert secret is not None
    return not stage.can_refuse or not stage.opens(secret)


def works(stage: Stage, secret: Secret | None) -> bool:
    assert secret is not None
    return stage.opens(secret)


def test_candidate_that_was_not_set_is_not_verified(stage: Stage) -> None:
    if not stage.can_refuse:
        pytest.skip("it has no target that takes it")
    turn = prepared(stage, begun(stage))

    with pytest.raises(OperationError) as caught:
        stage.rotator.verify(turn)

    assert turn.after is not None
    for text in _texts_of(turn.after):
        assert text not in f"{caught.value.message} {caught.value.hint}"


def test_abort_before_anything_was_made_does_nothing(stage: Stage) -> None:
    turn = begun(stage)

    stage.rotator.abort(turn)

    assert works(stage, turn.before)


def test_abort_takes_the_candidate_back_and_leaves_the_one_before_it(stage: Stage) -> None:
    turn = prepared(stage, begun(stage))
    stage.rotator.set(turn)
    stage.rotator.verify(turn)

    for _ in range(2):
        stage.rotator.abort(turn)

        assert works(stage, turn.before)
    assert is_refused(stage, turn.after)


def test_abort_of_a_candidate_that_was_not_set_does_nothing(stage: Stage) -> None:
    turn = prepared(stage, begun(stage))

    stage.rotator.abort(turn)

    assert works(stage, turn.before)


def test_candidates_differ_and_can_be_kept(stage: Stage) -> None:
    first, second = (stage.rotator.prepare(begun(stage, number)) for number in (1, 2))

    assert first != second
    assert 1 <= len(first) <= VALUE_BYTES_MAX


def test_each_step_can_be_made_again_and_old_and_new_overlap(stage: Stage) -> None:
    turn = prepared(stage, begun(stage))

    for _ in range(2):
        stage.rotator.set(turn)
        stage.rotator.verify(turn)

    assert works(stage, turn.after)
    if stage.rotator.has_overlap:
        assert works(stage, turn.before)


def test_retired_one_opens_nothing_any_more(stage: Stage) -> None:
    turn = prepared(stage, begun(stage))
    stage.rotator.set(turn)
    stage.rotator.verify(turn)
    promoted(stage, turn)

    for _ in range(2):
        stage.rotator.retire(turn)

        assert works(stage, turn.after)
        assert is_refused(stage, turn.before)


def test_old_one_can_be_retired_when_its_value_is_gone(stage: Stage) -> None:
    turn = prepared(stage, begun(stage))
    stage.rotator.set(turn)
    promoted(stage, turn)

    stage.rotator.retire(replace(turn, before=None))

    assert works(stage, turn.after)
    assert is_refused(stage, turn.before)


def test_first_credential_of_all_is_made(stage: Stage) -> None:
    turn = prepared(stage, replace(begun(stage), before=None))
    stage.rotator.set(turn)
    stage.rotator.verify(turn)
    promoted(stage, turn)
    stage.rotator.retire(turn)

    assert works(stage, turn.after)


def test_three_rotations_follow_each_other(stage: Stage) -> None:
    for number in range(3):
        turn = prepared(stage, begun(stage, number))
        stage.rotator.set(turn)
        stage.rotator.verify(turn)
        promoted(stage, turn)
        stage.rotator.retire(turn)

        assert works(stage, turn.after)
        assert is_refused(stage, turn.before)


def test_it_says_what_it_is_and_shows_no_value(stage: Stage) -> None:
    rotator: Rotator = stage.rotator
    turn = prepared(stage, begun(stage))
    rotator.set(turn)

    assert rotator.kind
    assert rotator.has_overlap in (True, False)
    assert turn.after is not None
    assert turn.after.reveal() not in repr(vars(rotator)) or rotator.kind == "fake"


def _texts_of(secret: Secret) -> list[str]:
    try:
        return [secret.field("password")]
    except OperationError:
        return [secret.reveal()]
