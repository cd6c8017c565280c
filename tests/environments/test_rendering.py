"""Every environment draws itself, headless."""

import jax
import numpy as np
import pytest

import rpax

NAMES = ["matrix/figure-2", "extensive/g1", "storm", "storm/unobserved", "overcooked/cramped_room"]
NAMES += ["overcooked_v2/cramped_room", "hanabi/3x3"]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_becomes_a_picture(name):
    environment = rpax.make(name)
    picture = environment.render(jax.device_get(jax.jit(environment.reset)(jax.random.key(0))))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert min(picture.shape[:2]) >= 60
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 4
