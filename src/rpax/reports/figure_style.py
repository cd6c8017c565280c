"""How the figures look and how they are written: without a display, without pyplot's global state, reproducibly."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rpax.errors import InputError
from rpax.runs.writing import write_whole, writing_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that stay distinct for colour-blind readers (after Okabe and Ito), the strongest contrasts first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5A9E", "#6B6B6B")
LINE_STYLES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
POSITIVE, NEGATIVE = "#0B66A8", "#C62F2D"
INK, MUTED, FAINT = "#22272E", "#6A737D", "#DDE1E6"
POINTS_PER_INCH = 72
SUFFIXES = (".png", ".svg")

_DOTS_PER_INCH, _MOST_DOTS = 160, 8000
_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "mathtext.fontset": "dejavusans",
    "path.simplify": True,
    "savefig.bbox": None,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "rpax",
    "text.color": INK,
    "text.hinting": "no_hinting",
    "text.usetex": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """The settings under which a figure is both made and written; the caller's own settings return afterwards."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of ``width`` × ``height`` inches that belongs to no window, coarser where it is very large."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=min(_DOTS_PER_INCH, _MOST_DOTS / max(width, height)))


def picture_path(path: str | pathlib.Path) -> pathlib.Path:
    """``path`` if a picture can be written there in a format that its suffix names.

    Raises:
        InputError: the suffix is neither PNG nor SVG, or the folder does not exist.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in SUFFIXES:
        found = f"ends in '{path.suffix}'" if path.suffix else "has no suffix"
        raise InputError(f"picture '{path}' {found}; end its name in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"picture '{path}': there is no folder '{path.parent}'; make it first or choose another")
    return path


def save_figure(figure: "Figure", path: pathlib.Path) -> None:
    """Write ``figure`` as PNG or SVG, whole or not at all; the same figure gives the same bytes.

    Raises:
        rpax.runs.writing.NotWritten: the file cannot be written; what was there stays.
    """
    kind = path.suffix.lower().removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else None
    with writing_out(path, f"picture '{path}'", "choose another place"):
        write_whole(path, lambda temporary: figure.savefig(temporary, format=kind, metadata=metadata))


def tidy_axes(axes: "Axes") -> None:
    """Axes without a frame at the top and right, with a faint horizontal grid below the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=9)


def plain(text: str) -> str:
    """``text`` with its dollar signs kept from being read as mathematics."""
    return text.replace("$", r"\$")


@functools.lru_cache(maxsize=4096)
def text_size(text: str, points: float, weight: str = "normal") -> tuple[float, float]:
    """Width and height in inches of one line of ``text`` at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    extent = TextPath((0, 0), text, size=points, prop=FontProperties(family="DejaVu Sans", weight=weight)).get_extents()
    return extent.width / POINTS_PER_INCH, points * 1.2 / POINTS_PER_INCH


def signed(value: float) -> str:
    """``value`` with its sign and three significant digits, as in ``+0.1`` and ``−0.0833``."""
    return f"{value:+{'.0f' if 1000 <= abs(value) < 1e6 else '.3g'}}".replace("-", "−")


def seed_band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lowest and highest over the seeds (axis 0), leaving out what is not finite; NaN where nothing is left."""
    finite = np.ma.masked_invalid(np.asarray(values, dtype=np.float64))
    return tuple(part.filled(np.nan) for part in (finite.mean(axis=0), finite.min(axis=0), finite.max(axis=0)))
