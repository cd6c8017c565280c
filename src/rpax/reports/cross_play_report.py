"""Everything that a cross-play writes."""

import json
import pathlib
from typing import TYPE_CHECKING

from rpax.reports.cross_play_tables import as_csv, as_latex, as_markdown
from rpax.reports.heatmap import Heatmap, draw_heatmap
from rpax.runs.writing import write_text, writing_out

if TYPE_CHECKING:
    from rpax.evaluation.cross_play_result import CrossPlay


def write_cross_play(result: "CrossPlay", folder: pathlib.Path) -> list[pathlib.Path]:
    """``cross-play.json``, ``.csv``, ``.md``, ``.tex`` and ``heatmap.png`` in ``folder``, over earlier ones.

    Raises:
        InputError: they cannot be written.
    """
    texts = {
        "json": json.dumps(result.to_dict(), indent=1) + "\n",
        "csv": as_csv(result),
        "md": as_markdown(result),
        "tex": as_latex(result),
    }
    written = [folder / f"cross-play.{suffix}" for suffix in texts]
    picture = folder / "heatmap.png"
    with writing_out(folder, f"folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(written, texts.values(), strict=True):
            write_text(path, text)
        draw_heatmap(heatmap_of(result), picture)
    return [*written, picture]


def heatmap_of(result: "CrossPlay") -> Heatmap:
    """The heatmap of a cross-play, agents of a group side by side."""
    order = result.order_by_group()
    agents = [result.entrants[number] for number in order]
    return Heatmap(
        values=result.mean[order][:, order],
        names=short_names([agent.name for agent in agents], [agent.group for agent in agents]),
        groups=[agent.group for agent in agents],
        title=f"{result.environment}: {result.about}",
    )


def short_names(names: list[str], groups: list[str]) -> list[str]:
    """Names without the run where a group has only one: ``seed:agent``."""
    runs = {
        group: {name.rpartition(":")[0].rpartition(":")[0] for name, g in zip(names, groups, strict=True) if g == group}
        for group in groups
    }
    return [
        ":".join(name.split(":")[-2:]) if len(runs[group]) == 1 and name.count(":") >= 2 else name
        for name, group in zip(names, groups, strict=True)
    ]
