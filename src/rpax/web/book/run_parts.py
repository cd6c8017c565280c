"""What a finished run's files say, part by part, as plain data: every text bounded, every number a number."""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpax.errors import InputError
from rpax.untrusted import read_json
from rpax.web.book.text import name_text, number, numbers, plain_text

if TYPE_CHECKING:
    from rpax.evaluation.results import PairingResult
    from rpax.runs.run import Run

#: Actions of a seat whose payoffs can be shown, and how much of everything else.
MOST_ACTIONS, MOST_PAIRINGS, MOST_NOTES, MOST_CERTIFICATES = 40, 600, 100, 200
_MOST_BYTES, _MOST_CHANCES = 10**7, 200


def pairings_of(run: "Run") -> list[dict[str, Any]]:
    """Each pairing's returns: mean over seeds with the lowest and highest seed, and every seed's."""
    if not run.results:
        return []
    found = []
    for pairing in run.results[0].pairings[:MOST_PAIRINGS]:
        by_seed = {result.seed: _pairing_in(result.pairings, pairing) for result in run.results}
        known = [each for each in by_seed.values() if each is not None]
        seats = [[float(each.returns[seat]) for each in known] for seat in (0, 1)]
        one = {
            "seat_0": name_text(pairing.seat_0),
            "seat_1": name_text(pairing.seat_1),
            "episodes": number(pairing.episodes),
            "returns": [_spread(values) for values in seats],
            "half_width": numbers(pairing.half_width) if len(run.results) == 1 and pairing.episodes else None,
        }
        found.append(one)
    return found


def _pairing_in(pairings: "Sequence[PairingResult]", wanted: "PairingResult") -> "PairingResult | None":
    same = (wanted.seat_0, wanted.seat_1)
    return next((each for each in pairings if (each.seat_0, each.seat_1) == same), None)


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, lowest and highest of what is finite, and all values."""
    array = np.asarray(values, float)
    finite = array[np.isfinite(array)]
    ends = (finite.mean(), finite.min(), finite.max()) if finite.size else (np.nan,) * 3
    return dict(zip(("mean", "low", "high"), numbers(map(float, ends)), strict=True)) | {"values": numbers(values)}


def policies_of(run: "Run") -> dict[str, Any] | None:
    """Of a normal-form game: its payoffs, and every agent's policy in each seat; ``None`` elsewhere."""
    table = _payoffs(run.config.environment, json.dumps([run.config.environment_options, run.config.payoffs]))
    if table is None:
        return None
    actions = [table["rows"], table["columns"]]
    agents = []
    for name, role in run.objective.agents.items():
        for seat in (0, 1):
            seeds = [
                {
                    "seed": result.seed,
                    "policy": numbers(map(float, policy)),
                    "gap": number(its.rationality_gap.get(seat)),
                }
                for result in run.results
                if (its := result.agents.get(name)) is not None
                and (policy := its.policy.get(seat)) is not None
                and policy.shape == (len(actions[seat]),)
            ]
            if seeds:
                agents.append({"agent": name_text(name), "role": role, "seat": seat, "seeds": seeds})
    return {**table, "agents": agents}


@functools.lru_cache(maxsize=32)
def _payoffs(environment: str, options: str) -> dict[str, Any] | None:
    """The payoff table of a matrix game."""
    if not environment.startswith("matrix/"):
        return None
    from rpax.environments.registry import make
    from rpax.environments.tabular_game import TabularGame

    given, payoffs = json.loads(options)
    try:
        game = make(environment, **given, **({} if payoffs is None else {"payoffs": payoffs}))
    except (InputError, TypeError):
        return None
    if not isinstance(game, TabularGame) or not game.is_normal_form or max(game.payoffs.shape[1:3]) > MOST_ACTIONS:
        return None
    rows, columns = ([name_text(space.name_of(a)) for a in range(space.num_actions)] for space in game.spaces)
    both = game.payoffs[0]
    return {
        "rows": rows,
        "columns": columns,
        "payoffs": [[numbers(map(float, cell)) for cell in row] for row in both],
        "common": bool((both[..., 0] == both[..., 1]).all()),
    }


def gaps_of(run: "Run") -> list[dict[str, Any]]:
    """Exact rationality gaps where games are small: by agent and seat, over seeds."""
    found = []
    for agent, by_seat in (run.results[0].gaps if run.results else {}).items():
        for seat in by_seat:
            values = [float(result.gaps.get(agent, {}).get(seat, np.nan)) for result in run.results]
            found.append({"agent": name_text(agent), "seat": number(seat), **_spread(values)})
    return found


def notes_of(run: "Run") -> list[dict[str, Any]]:
    """What the runs' diagnoses say."""
    notes = [
        {"seed": number(result.seed), "note": plain_text(note)}
        for result in run.results
        for note in result.diagnosis.notes
    ]
    return notes[:MOST_NOTES]


def attack_of(folder: pathlib.Path) -> dict[str, Any] | None:
    """The verdict on an attack and the numbers it rests on; ``None`` for what is no attack, or damaged."""
    content = _document(folder / "attack.json")
    if content is None:
        return None
    returns, verdict = _mapping(content.get("victim_return")), _mapping(content.get("verdict"))
    before = returns.get("before")
    rows = [
        ("the victim before the attack", before),
        ("the victim under attack", returns.get("under_attack")),
        *((f"in its place: {name_text(name)}", its) for name, its in _mapping(content.get("partner_return")).items()),
        *((f"the adversary {name_text(name)}", its) for name, its in _mapping(content.get("adversary_return")).items()),
    ]
    return {
        "victim": name_text(content.get("victim", "")),
        "with": plain_text(_mapping(before).get("with", "")),
        "verdict": name_text(verdict.get("name", "unclear")),
        "reason": plain_text(verdict.get("reason", "")),
        "returns": [{"who": who.replace("_", " "), **_estimate(its)} for who, its in rows[:20] if _mapping(its)],
    }


def certificates_of(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `rpax certify` found; ``None`` where it did not, or its file is damaged."""
    content = _document(folder / "certificates.json")
    entries = None if content is None else content.get("certificates")
    if content is None or not isinstance(entries, list):
        return None
    found = []
    for entry in filter(None, map(_mapping, entries[:MOST_CERTIFICATES])):
        seats = entry.get("seats") if "seats" in entry else [entry.get("seat")]
        partners = entry.get("partners")
        names = [_mapping(part).get("partner", "") for part in partners[:50]] if isinstance(partners, list) else []
        found.append(
            {
                "agent": name_text(entry.get("agent", "")),
                "seed": number(entry.get("seed")),
                "seats": numbers(seats[:2]) if isinstance(seats, list) else [],
                "gap": number(entry.get("gap")),
                "half_width": number(entry.get("half_width")),
                "partners": [name_text(name) for name in dict.fromkeys(map(str, names))],
                "proof": _proof(entry),
            }
        )
    return {"method": "exact" if content.get("method") == "exact" else "trained", "certificates": found}


def _proof(entry: Mapping[str, Any]) -> str:
    """What an exact certificate rests on, in words."""
    for name, says in (("dominating_policy", "dominated by"), ("co_policy", "best response to")):
        policy = _mapping(entry.get(name))
        if policy:
            return plain_text(f"{says} {', '.join(f'{name}: {_chance(value)}' for name, value in policy.items())}")
    return ""


def _chance(value: object) -> str:
    known = number(value)
    return json.dumps(value)[:_MOST_CHANCES] if known is None else f"{known:.3g}"


def _estimate(content: object) -> dict[str, Any]:
    its = _mapping(content)
    return {"mean": number(its.get("mean")), "half_width": number(its.get("half_width"))}


def _document(path: pathlib.Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return _mapping(read_json(path, "", _MOST_BYTES)) or None
    except InputError:
        return None


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
