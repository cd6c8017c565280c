"""PyTorch networks as fixed agents, beside the same weights in JAX."""

import jax.numpy as jnp
import numpy as np
import pytest
import small_game  # noqa: F401  (registers small/ring)

import rpax
from rpax.errors import InputError
from rpax.policies.sources import find_agent

torch = pytest.importorskip("torch", reason="pip install 'rpax[torch]'")

TINY = {"envs": 2, "steps": 3, "hidden_sizes": (4,), "evaluation_episodes": 4, "updates": 2, "sampling": "uniform"}


class Policy(torch.nn.Module):
    """Two layers, flat observations; answers probabilities, or with ``greedy`` actions."""

    def __init__(self, inputs: int, actions: int, *, greedy: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(inputs, 8), torch.nn.Linear(8, actions)
        self.greedy = greedy

    def forward(self, observations):
        assert observations.dtype == torch.float32
        logits = self.last(torch.tanh(self.first(observations.flatten(1))))
        return logits.argmax(dim=1) if self.greedy else torch.softmax(logits, dim=1)


def as_layers(module: Policy) -> dict:
    """The same network for :func:`rpax.flax_policy`; torch's weights are (outputs, inputs)."""
    return {
        f"Dense_{i}": {"kernel": layer.weight.detach().numpy().T, "bias": layer.bias.detach().numpy()}
        for i, layer in enumerate((module.first, module.last))
    }


def test_a_module_and_a_function_that_returns_tensors_play_as_their_weights_do_in_jax():
    game, module = rpax.make("small/ring"), Policy(11, 3)
    seen = jnp.asarray(np.random.default_rng(0).integers(0, 2, (5, 11)), jnp.uint8)
    expected = rpax.flax_policy(as_layers(module), game).probabilities(seen)

    def returns_a_tensor(observations):
        return module(torch.from_numpy(observations).float())

    for function in (module, returns_a_tensor):
        np.testing.assert_allclose(find_agent(function, game).probabilities(seen), expected, rtol=1e-5)
    greedy = find_agent(Policy(11, 3, greedy=True), game).probabilities(seen)
    np.testing.assert_array_equal(greedy, np.eye(3)[np.asarray(expected).argmax(axis=1)])


@pytest.mark.parametrize(("game", "inputs", "actions"), [("storm", 256, 5), ("overcooked/cramped_room", 520, 6)])
@pytest.mark.parametrize("algorithm", ["br", "ap-rpg"])
def test_agents_train_against_a_module(algorithm, game, inputs, actions, no_plots):
    role = "partner" if algorithm == "br" else "victim"
    options = {} if game == "storm" else {"environment_options": {"horizon": 6}}
    run = rpax.train(algorithm, game, fixed={role: Policy(inputs, actions)}, exploring_starts=0, **TINY, **options)
    assert run.status == "finished"
    assert all(np.isfinite(pairing.returns).all() for pairing in run.results[0].pairings)


def test_logits_are_no_probabilities():
    class Logits(Policy):
        def forward(self, observations):
            return self.first(observations)

    with pytest.raises(InputError, match=r"partner: function 'Logits' returned float32\[3, 8\] for 3 observations"):
        find_agent(Logits(11, 3), rpax.make("small/ring"), name="partner")
    with pytest.raises(InputError, match="of logits, the softmax"):
        find_agent(torch.nn.Linear(11, 3), rpax.make("small/ring"))
