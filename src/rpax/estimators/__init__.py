"""Estimators: numerics on arrays whose first axis is time. None of them ever sees a configuration object."""

from rpax.estimators.advantages import discounted_advantages, normalize_pooled
from rpax.estimators.exact import exact_returns
from rpax.estimators.influence import influence_credits
from rpax.estimators.loaded_dice import loaded_dice

__all__ = ["discounted_advantages", "exact_returns", "influence_credits", "loaded_dice", "normalize_pooled"]
