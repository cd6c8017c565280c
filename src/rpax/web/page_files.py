"""The files of a page, which its HTML names. Needs no extra: exports are made of them, too."""

import re
from collections.abc import Callable

from rpax.web.player_files import read_static

EXPLORE_PAGE = "explore.html"
_STYLE = re.compile(r'<link rel="stylesheet" href="static/([\w.-]+)">')
_SCRIPT = re.compile(r'<script defer src="static/([\w.-]+)"></script>')


def files_of(page: str) -> list[str]:
    """The style sheets and scripts that a page names, in order."""
    text = read_static(page)
    return _STYLE.findall(text) + _SCRIPT.findall(text)


def with_files_inside(page: str, style: Callable[[str], str], script: Callable[[str], str]) -> str:
    """A page's HTML with something else for each file that it names.

    Args:
        page: its name.
        style: from a style sheet's content to what stands for its link.
        script: from a script's content to what stands for its element.
    """
    text = _STYLE.sub(lambda match: style(read_static(match[1])), read_static(page))
    return _SCRIPT.sub(lambda match: script(read_static(match[1])), text)
