"""Learning rates of the reproductions: for each figure, mode and network, what was found to converge and how long for.

Which rates and numbers of lookahead steps converge is a basin, not a threshold (see ``docs/matrix-games.md``). An MLP's
logits move several times as far as a table's for the same rate, so its rates are smaller.
"""

from typing import Any

from rpax.reproduce.experiment import Mode, NetworkKind


def rates(lookahead: float, manipulator: float, base: float, updates: int) -> dict[str, Any]:
    """α1, α2, α3 and the number of updates as settings."""
    return {
        "lookahead_rate": lookahead,
        "manipulator_rate": manipulator,
        "base_rate": base,
        "updates": updates,
    }


_RATES: dict[tuple[str, Mode, NetworkKind], dict[str, Any]] = {
    ("figure-2", "exact", "tabular"): rates(1.0, 5.0, 0.05, 4000),
    ("figure-2", "sampled", "tabular"): rates(0.5, 1.0, 0.02, 2000),
    ("figure-2", "exact", "mlp"): rates(0.2, 0.5, 0.005, 4000),
    ("figure-2", "sampled", "mlp"): rates(0.1, 0.2, 0.004, 3000),
    ("figure-12", "exact", "tabular"): rates(1.0, 5.0, 0.1, 8000),
    ("figure-12", "sampled", "tabular"): rates(0.5, 1.0, 0.02, 4000),
    ("figure-12", "exact", "mlp"): rates(0.2, 0.5, 0.005, 4000),
    ("figure-12", "sampled", "mlp"): rates(0.1, 0.2, 0.004, 3000),
    ("figure-13", "exact", "tabular"): rates(1.0, 5.0, 0.1, 4000),
    ("figure-13", "sampled", "tabular"): rates(1.0, 1.0, 0.05, 4000),
    ("figure-13", "exact", "mlp"): rates(0.1, 0.5, 0.01, 4000),
    ("figure-13", "sampled", "mlp"): rates(0.2, 0.5, 0.004, 2500),
    ("figure-14", "exact", "tabular"): rates(1.0, 1.0, 0.02, 8000),
    ("figure-14", "sampled", "tabular"): rates(1.0, 1.0, 0.02, 4000),
    ("figure-14", "exact", "mlp"): rates(0.1, 0.1, 0.002, 8000),
    ("figure-14", "sampled", "mlp"): rates(0.15, 0.2, 0.004, 3000),
    ("figure-17", "exact", "tabular"): rates(1.0, 5.0, 0.1, 8000),
    ("figure-17", "sampled", "tabular"): rates(1.0, 1.0, 0.02, 4000),
    ("figure-17", "exact", "mlp"): rates(0.1, 0.1, 0.002, 8000),
    ("figure-17", "sampled", "mlp"): rates(0.15, 0.2, 0.004, 3000),
}


#: Entropy bonuses that keep short lookaheads moving: without them exact softmax play saturates in a corner and stays.
MOVING: dict[str, Any] = {"entropy": 0.02, "manipulator_entropy": 0.03}


def settings_of(figure: str, mode: Mode, network: NetworkKind, **more: Any) -> dict[str, Any]:
    """The settings of one case: the figure's rates, and what the case adds."""
    return {"exact": mode == "exact", "network": network, **_RATES[figure, mode, network], **more}
