"""What may change in a run directory's configuration between two sessions of the run, and what may not."""

import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from rpax.errors import InputError, shown
from rpax.objectives.edges import Objective
from rpax.objectives.files import objective_to_dict
from rpax.runs.config import FIELDS, TrainConfig, config_to_dict
from rpax.runs.manifest import Manifest, Recorded, canonical, library_versions, sha256_of

#: Settings that leave every update and every line of metrics up to the original end as they would have been: when the
#: run ends (an update does not know how many follow; checkpoints say every end so far, where a line and the spacing of
#: snapshots stay; schemes refuse another end), how often and how long its state is kept, who else is told of its
#: metrics, and what happens in an update that would have ended it. All others are refused: also `log_every` and
#: `snapshots`, which decide what lines of metrics there are, and `evaluation_episodes`, by which fictitious co-play
#: chooses its partners.
FREE = ("updates", "checkpoint_minutes", "checkpoints_kept", "sinks", "on_nonfinite")
#: Of one session only.
_OF_A_SESSION = ("minutes",)
#: Settings that can name what a file of Python holds, as FILE.py:NAME; the file may move.
_NAMES_CODE = ("environment", "victim", "partner")
#: Libraries that compile and run the updates.
_COMPILERS = ("jax", "jaxlib")
_NUMBERS = ("devices", "threads")
#: Longer values are written down as their checksum.
_MOST_TEXT = 200
_DIGEST = "sha256:"
_QUOTE = "'"


def recorded_config(config: TrainConfig) -> Recorded:
    """What a checkpoint says of a configuration."""
    values = {name: value for name, value in config_to_dict(config).items() if name not in _OF_A_SESSION}
    free = {name: values.pop(name) for name in FREE}
    # What was asked for in the end is said as the checkpoint's progress.
    del free["updates"]
    return _recorded(values, free)


def recorded_objective(objective: Objective) -> Recorded:
    """What a checkpoint says of an objective."""
    return _recorded(objective_to_dict(objective), {})


def _recorded(values: Mapping[str, Any], free: Mapping[str, Any]) -> Recorded:
    plain = {name: _plain(value) for name, value in values.items()}
    return Recorded(sha256_of(plain), {name: _short(value) for name, value in plain.items()}, dict(free))


def _plain(value: Any) -> Any:
    """As JSON holds it, numbers that are not finite as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _short(value: Any) -> Any:
    return value if len(canonical(value)) <= _MOST_TEXT else f"{_DIGEST}{sha256_of(value)}"


def check_unchanged(where: str, manifest: Manifest, config: TrainConfig, objective: Objective) -> tuple[str, ...]:
    """Whether a run can go on from a checkpoint as what it was; what changed without harm, a line each.

    Args:
        where: the run, for messages.
        manifest: of the checkpoint.
        config: the run's configuration now.
        objective: the run's objective now.

    Raises:
        InputError: a setting or the objective is another one; names it, and both values.
    """
    now = recorded_config(config)
    for file, before, after in (
        ("config.yaml", manifest.config, now),
        ("objective.yaml", manifest.objective, recorded_objective(objective)),
    ):
        changed = None if before is None else _first_change(before, after)
        if changed is not None:
            name, was, is_now = changed
            raise InputError(
                f"{where}: {name} in {file} is {_said(is_now)} now and was {_said(was)} until update "
                f"{manifest.update}, which would make it another run; set it back, or train anew"
            )
    if manifest.config is None:
        return ()
    free = {"updates": manifest.until, **manifest.config.free}
    new = {"updates": config.updates, **now.free}
    moved = tuple(
        f"{name} in config.yaml is {_said(is_now)} now and was {_said(was)}; the file must say what it said"
        for name, was, is_now in _changes(manifest.config, now)
        if _only_moved(name, was, is_now)
    )
    return moved + tuple(
        f"{name} is {_said(new[name])} now and was {_said(free[name])}; the updates made stay as they are"
        for name in FREE
        if name in free and free[name] != new[name]
    )


def lost_metrics(manifest: Manifest, metrics: pathlib.Path) -> tuple[str, ...]:
    """A line where the metrics file is shorter than it was when a checkpoint was written: lines of it are lost."""
    size = metrics.stat().st_size if metrics.is_file() else 0
    if manifest.metrics_bytes is None or size >= manifest.metrics_bytes:
        return ()
    return (f"{metrics} has {size} of the {manifest.metrics_bytes} bytes that it had; the lines that are lost stay so",)


def other_libraries(manifest: Manifest) -> tuple[str, ...]:
    """A line for each library that is of another version than when a checkpoint was written."""
    was, is_now = manifest.libraries, library_versions()
    changes = ((name, was[name], is_now[name]) for name in _COMPILERS if name in was)
    return tuple(_other_bits(manifest, *change) for change in changes if change[1] != change[2])


def other_machine(manifest: Manifest, machine: Mapping[str, str | int]) -> tuple[str, ...]:
    """A line for all that a run's bits depend on and is otherwise than when a checkpoint was written.

    Args:
        manifest: of the checkpoint.
        machine: what will make the updates now.
    """
    was = manifest.machine or {}
    changes = ((f"number of {name}" if name in _NUMBERS else name, was.get(name), machine[name]) for name in machine)
    return tuple(_other_bits(manifest, *change) for change in changes if change[1] not in (None, change[2]))


def _other_bits(manifest: Manifest, name: str, was: object, is_now: object) -> str:
    return (
        f"{name} is {is_now} now and was {shown(was).strip(_QUOTE)} until update {manifest.update}; numbers may differ "
        "in their last bits from those of a run that was not stopped"
    )


def ends_of(manifest: Manifest | None, until: int) -> tuple[int, ...]:
    """All updates that were asked for so far, the first ones first.

    Args:
        manifest: of the last checkpoint, if there is one.
        until: those that are asked for now.
    """
    before = () if manifest is None else manifest.ends or (manifest.until,)
    return tuple(end for end in dict.fromkeys((*before, until)) if end is not None)


def check_same_config(where: str, made_with: TrainConfig, config: TrainConfig) -> None:
    """Whether what was made with one configuration can be used with another one.

    Raises:
        InputError: a setting is another one on which the outcome depends; names it, and both values.
    """
    changed = _first_change(recorded_config(made_with), recorded_config(config))
    if changed is not None:
        name, was, is_now = changed
        raise InputError(
            f"{where}: was made with {name} {_said(was)}, which is {_said(is_now)} now; set it back, or train anew"
        )


def _first_change(before: Recorded, after: Recorded) -> tuple[str, Any, Any] | None:
    """The first value that differs: its name, what it was and what it is."""
    return next((change for change in _changes(before, after) if not _only_moved(*change)), None)


def _only_moved(name: str, was: Any, is_now: Any) -> bool:
    """Whether a setting names the same in a file of Python that lies elsewhere."""
    if name not in _NAMES_CODE or not isinstance(was, str) or not isinstance(is_now, str):
        return False
    (old, _, before), (new, _, after) = was.rpartition(":"), is_now.rpartition(":")
    return old.endswith(".py") and new.endswith(".py") and before == after


def _changes(before: Recorded, after: Recorded) -> Iterator[tuple[str, Any, Any]]:
    """All values that differ: name, what it was and what it is. One that is new may be at its default."""
    if before.sha256 == after.sha256:
        return
    defaults = {name: _plain(value) for name, value in config_to_dict(TrainConfig("-", "-")).items()}
    for name in dict.fromkeys([*after.values, *before.values]):
        default = defaults.get(name) if name in FIELDS else None
        was, is_now = before.values.get(name, default), after.values.get(name, default)
        if was != is_now:
            yield name, was, is_now


def _said(value: Any) -> str:
    if isinstance(value, str) and value.startswith(_DIGEST):
        return f"something with checksum {value.removeprefix(_DIGEST)[:12]}…"
    return "not set" if value is None else shown(value)
