"""An attack in one picture: the victim's return before and under attack, and what the adversary gets with whom."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from rpax.evaluation.attack import AttackReturns
from rpax.evaluation.matches import Estimate
from rpax.reports.figure_style import (
    INK,
    MUTED,
    PALETTE,
    figure_style,
    new_figure,
    picture_path,
    plain,
    save_figure,
    tidy_axes,
)


class Bar(NamedTuple):
    """Whose return, with whom, and how much it is."""

    whose: str
    label: str
    value: Estimate


def bars_of(returns: AttackReturns) -> Iterator[Bar]:
    """The bars of a picture, from left to right.

    What partners get in the victim's place is shown where it is not what the adversary gets.
    """
    if returns.before is not None:
        yield Bar("victim", f"before, with {returns.before_with}", returns.before.together)
    yield Bar("victim", "under attack", returns.under_attack.together)
    for name, score in returns.adversary.items():
        yield Bar("adversary", f"with {called(name)}", score.together)
    if not returns.common_payoff:
        for name, score in returns.partners.items():
            yield Bar("in the victim's place", called(name), score.together)


def called(name: str) -> str:
    """A partner as pictures and tables name it."""
    return name.replace("_", " ")


def draw_attack(path: str | pathlib.Path, returns: AttackReturns, *, title: str) -> None:
    """Write a PNG or SVG picture: a bar for each return, with its 95 % confidence interval.

    Raises:
        InputError: another suffix, or no such folder.
    """
    from matplotlib.patches import Patch

    path = picture_path(path)
    bars = list(bars_of(returns))
    sides = list(dict.fromkeys(bar.whose for bar in bars))
    # One free place between the victim's bars, the adversary's and those of others.
    places = [number + sides.index(bar.whose) for number, bar in enumerate(bars)]
    with figure_style():
        figure = new_figure(1.0 + 0.95 * (places[-1] + 1), 3.9)
        figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.08)
        axes = figure.add_subplot()
        for place, bar in zip(places, bars, strict=True):
            axes.bar(place, bar.value.mean, width=0.72, color=PALETTE[sides.index(bar.whose)])
            if bar.value.half_width:
                axes.errorbar(place, bar.value.mean, bar.value.half_width, color=INK, linewidth=1.1, capsize=4)
            above = bar.value.mean >= 0
            end = bar.value.high if above else bar.value.low
            text = f"{bar.value.mean:.3g}".replace("-", "−")
            shift, anchor = (0, 3 if above else -3), "bottom" if above else "top"
            axes.annotate(text, (place, end), shift, textcoords="offset points", ha="center", va=anchor, size=8.5)
        tidy_axes(axes)
        axes.margins(y=0.14)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xticks(places, [_wrapped(bar.label) for bar in bars], size=8)
        axes.set_ylabel("return")
        handles = [Patch(color=PALETTE[number]) for number in range(len(sides))]
        figure.legend(handles, sides, loc="outside lower center", ncols=len(sides), frameon=False, fontsize=9)
        axes.set_title(plain(title), loc="left", size=11, weight="bold", pad=10)
        save_figure(figure, path)


def _wrapped(label: str, most: int = 14) -> str:
    """A label in lines of about ``most`` characters."""
    lines: list[str] = []
    for word in plain(label).split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
