"""What a user's function may take and answer, and what it is told when it does not."""

import numpy as np
import pytest

from rpax.environments.protocol import SeatSpace
from rpax.errors import InputError
from rpax.policies.functions import PolicyFunction, jax_policy, name_of

SPACE = SeatSpace((2,), 3, action_names=("left", "stay", "right"))
SEEN = np.zeros((4, 2), np.float32)


def answers(function, *, seat=None, legal=None):
    return PolicyFunction.of("partner", function).probabilities(SEEN, SPACE, seat, legal)


def test_actions_become_certain_and_probabilities_stay_what_they_are():
    np.testing.assert_array_equal(answers(lambda seen: np.arange(4) % 3), np.eye(3)[[0, 1, 2, 0]])
    np.testing.assert_array_equal(answers(lambda seen: [0, 0, 0, 2]), np.eye(3)[[0, 0, 0, 2]])
    chances = np.tile([0.5, 0.25, 0.25], (4, 1))
    np.testing.assert_array_equal(answers(lambda seen: chances.astype(np.float32)), chances)


def test_seat_and_legal_are_given_to_those_who_have_arguments_of_these_names():
    given = []

    def everything(observations, seat, *, legal):
        given.append((observations.shape, seat, legal))
        return np.full(len(observations), seat)

    class WithSeat:
        def __call__(self, seen, *, seat=0, **others):
            assert not others
            return np.full(len(seen), seat)

    legal = np.ones((4, 3), bool)
    assert answers(everything, seat=1, legal=legal)[:, 1].all()
    assert given[0][:2] == ((4, 2), 1)
    assert given[0][2] is legal
    assert answers(WithSeat(), seat=1)[:, 1].all()
    assert PolicyFunction.of("partner", everything).takes == ("seat", "legal")
    assert PolicyFunction.of("partner", lambda *arguments, **named: None).takes == ()
    with pytest.raises(InputError, match=r"function '<lambda>' takes \(seen, player\); it is called with the obs"):
        PolicyFunction.of("partner", lambda seen, player: None)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.full(4, 3), r"returned action 3; actions are 0 to 2$"),
        (np.full(4, -1), r"returned action -1; actions are 0 to 2$"),
        (np.zeros(3, int), r"returned int64\[3\] for 4 observations; return actions, whole numbers of shape \[4\], or"),
        (np.zeros(4), r"returned float64\[4\] for 4 observations; .* probabilities of shape \[4, 3\]$"),
        (np.zeros((4, 2)), r"returned float64\[4, 2\] for 4"),
        (np.int64(1), r"returned int64\[\] for 4"),
        (None, r"returned object\[\] for 4"),
        (np.full((4, 3), np.nan), r"probabilities \[nan, nan, nan\], which is not finite; return"),
        (np.tile([1.5, -0.5, 0.0], (4, 1)), r"\[1.5, -0.5, 0.0\], which is below 0"),
        (np.tile([1.0, 2.0, 0.5], (4, 1)), r"\[1.0, 2.0, 0.5\], which does not add up to 1; .*of logits, the softmax"),
    ],
)
def test_wrong_answers_are_shown_beside_what_is_right(answer, says):
    def heuristic(observations):
        return answer

    with pytest.raises(InputError, match=f"^partner: function 'heuristic' {'' if says[0] == 'r' else '.*'}{says}"):
        answers(heuristic)


def test_what_a_function_raises_is_told_in_one_line():
    def broken(observations):
        raise KeyError("no such\nthing")

    with pytest.raises(InputError, match=r"^partner: function 'broken' raised KeyError: 'no such\\nthing'$"):
        answers(broken)


def test_actions_that_are_not_legal_are_refused_and_probabilities_need_a_legal_one():
    legal = np.array([[True, True, False]] * 4)
    assert answers(lambda seen: np.ones(4, int), legal=legal)[:, 1].all()
    with pytest.raises(InputError, match=r"returned action 2 \(right\) where only 0, 1 are legal; take the argument"):
        answers(lambda seen: np.full(4, 2), legal=legal)
    with pytest.raises(InputError, match="gave no legal action any probability"):
        answers(lambda seen: np.tile([0.0, 0.0, 1.0], (4, 1)), legal=legal)
    # What falls on others is shared out by whoever draws.
    chances = np.tile([0.5, 0.0, 0.5], (4, 1))
    np.testing.assert_array_equal(answers(lambda seen: chances, legal=legal), chances)
    # Nothing is legal when the game is over.
    assert answers(lambda seen: np.full(4, 2), legal=np.zeros((4, 3), bool))[:, 2].all()


def test_a_jax_policy_is_marked_and_still_a_function():
    @jax_policy
    def second(observations, seat):
        return np.full(len(observations), seat)

    assert second(SEEN, 1).tolist() == [1, 1, 1, 1]
    assert name_of(second) == "second"
    assert PolicyFunction.of("partner", second).takes == ("seat",)
