"""Layouts drawn as text: what is accepted, and what is refused in which words."""

import textwrap

import pytest

import rpax
from rpax.environments.jaxmarl.layouts import OWN, check_layout, reachable_floor, read_layout

#: The five layouts as they are drawn in the papers.
CLASSIC = {
    "cramped_room": ["WWPWW", "OA AO", "W   W", "WBWXW"],
    "asymm_advantages": ["WWWWWWWWW", "O WXWOW X", "W   P   W", "W A PA  W", "WWWBWBWWW"],
    "coord_ring": ["WWWPW", "W A P", "BAW W", "O   W", "WOXWW"],
    "forced_coord": ["WWWPW", "O WAP", "OAW W", "B W W", "WWWXW"],
    "counter_circuit": ["WWWPPWWW", "W A    W", "B WWWW X", "W     AW", "WWWOOWWW"],
}


@pytest.mark.parametrize("name", [*CLASSIC, *OWN])
def test_layouts_that_are_played_are_accepted(name):
    check_layout("\n".join(CLASSIC[name]) if name in CLASSIC else read_layout(OWN[name]))


def test_text_lines_and_files_are_read_alike(tmp_path):
    lines = CLASSIC["coord_ring"]
    text = "\n".join(lines)
    file = tmp_path / "ring.txt"
    file.write_text(f"\n{text}\n", encoding="utf-8")
    indented = f"\n\n{textwrap.indent(text, '      ')}   \n\n"
    for source in (text, lines, tuple(lines), file, str(file), indented, text.replace("\n", "\r\n")):
        assert read_layout(source) == text


#: drawing -> what the message says
REFUSED = {
    "no text": (3, "layout 3 is no text; draw it in lines of W counter, A agent"),
    "no lines of text": (["WWW", 3], "is no text"),
    "a missing file": ("no/such/kitchen.txt", "layout file no/such/kitchen.txt: cannot be read"),
    "nothing": ([], "1 lines × 0 columns; draw 3 × 3 to 32 × 32"),
    "one line": (["WAAW"], "1 lines × 4 columns; draw 3 × 3 to 32 × 32"),
    "a line of text": ("WAAW", "layout 'WAAW' is one line, and no file whose name ends in .txt; draw it in lines of W"),
    "no text at all": ("", "layout '' is one line"),
    "another kind of file": ("some/kitchen", "'some/kitchen' is one line, and no file whose name ends in .txt"),
    "too wide": (["W" * 33, "W" * 33, "W" * 33], "3 lines × 33 columns; draw 3 × 3 to 32 × 32"),
    "too high": (["WWW"] * 33, "33 lines × 3 columns"),
    "an unknown symbol": (["WWPWW", "OA AO", "W T W", "WBWXW"], "'T' at line 3, column 3 is no symbol; use W counter"),
    "a small letter": (["WWpWW", "OA AO", "W   W", "WBWXW"], "'p' at line 1, column 3 is no symbol"),
    "a tab": (["WWPWW", "OA\tAO", "W   W", "WBWXW"], r"'\\t' at line 2, column 3 is no symbol"),
    "a short line": (["WWPWW", "OA AO", "W  W", "WBWXW"], "line 3 has 4 columns, line 1 has 5; draw a rectangle"),
    "a long line": (["WWPWW", "OA AO", "W   WW", "WBWXW"], "line 3 has 6 columns, line 1 has 5"),
    "an empty line": (["WWPWW", "OA AO", "", "WBWXW"], "line 3 has 0 columns, line 1 has 5"),
    "an open border": (["WWPWW", "OA AO", "    W", "WBWXW"], "the border is open at line 3, column 1; close it"),
    "an agent on the border": (["WAPWW", "OA  O", "W   W", "WBWXW"], "the border is open at line 1, column 2"),
    "no agent": (["WWPWW", "O   O", "W   W", "WBWXW"], "no agent; mark exactly two start positions with A"),
    "one agent": (["WWPWW", "O  AO", "W   W", "WBWXW"], "only one agent, at line 2, column 4; mark exactly two"),
    "three agents": (["WWPWW", "OA AO", "W  AW", "WBWXW"], "a third agent at line 3, column 4; mark exactly two"),
    "no pot": (["WWWWW", "OA AO", "W   W", "WBWXW"], "no pot; draw at least one P"),
    "no onions": (["WWPWW", "WA AW", "W   W", "WBWXW"], "no onion pile; draw at least one O"),
    "no plates": (["WWPWW", "OA AO", "W   W", "WWWXW"], "no plate pile; draw at least one B"),
    "no delivery": (["WWPWW", "OA AO", "W   W", "WBWWW"], "no delivery; draw at least one X"),
    "a station in a corner": (
        ["PWPWW", "OA AO", "W   W", "WBWXW"],
        "no agent can stand next to the pot at line 1, column 1; put floor beside it",
    ),
    "a station behind walls": (
        ["WWPWWWW", "OA AOWX", "W   WWW", "WBWWWWW"],
        "next to the delivery at line 2, column 7",
    ),
    "a station in a room without an agent": (
        ["WWPWWWW", "OA AW X", "W   W W", "WBWWWWW"],
        "next to the delivery at line 2, column 7",
    ),
    "agents apart with a thick wall between": (
        ["WWPWWWWW", "OA WW BW", "W  WW AX", "WWWWWWWW"],
        r"the agents at line 2, column 2 and line 3, column 7 are apart and share no counter and no pot",
    ),
    "two kitchens that have nothing to do with each other": (
        ["WWPWWWPWW", "OA WW AOW", "W  WW  WW", "WBXWWXBWW"],
        "are apart and share no counter and no pot",
    ),
    "a shared pot, and plates only where there is no delivery": (
        ["WWWWWWW", "OA P AX", "B  P  W", "WWWWWWW"],
        "share no counter, and neither can take soup from a filled pot to the delivery",
    ),
    "an agent locked in with nothing": (
        ["WWPWWWWWW", "OA WWWWWW", "B  XWW AW", "WWWWWWWWW"],
        "the agent at line 3, column 8 reaches no station and no counter shared with the other",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_cannot_be_played_is_refused(what):
    source, message = REFUSED[what]
    with pytest.raises(rpax.InputError, match=message) as caught:
        check_layout(read_layout(source))
    assert "\n" not in str(caught.value)


def test_a_custom_kitchen_needs_a_layout():
    with pytest.raises(rpax.InputError, match=r"'overcooked/custom' needs a layout; draw it as text"):
        rpax.make("overcooked/custom")
    with pytest.raises(rpax.InputError, match="no pot"):
        rpax.make("overcooked/custom", layout=REFUSED["no pot"][0])


def test_a_file_that_is_no_layout_is_refused(tmp_path):
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(rpax.InputError, match="not UTF-8 text"):
        read_layout(tmp_path / "binary.txt")
    (tmp_path / "long.txt").write_bytes(b"W" * 100_001)
    with pytest.raises(rpax.InputError, match="larger than 100000 bytes"):
        read_layout(tmp_path / "long.txt")
    with pytest.raises(rpax.InputError, match="cannot be read"):
        read_layout(tmp_path)


def by_search(rows: list[str], starts: tuple) -> tuple[set, set]:
    """Where each agent can get, by search over both positions: one moves at a time, never into the other."""
    found, edge = {starts}, [starts]
    while edge:
        both = edge.pop()
        for agent in (0, 1):
            line, column = both[agent]
            for cell in [(line - 1, column), (line + 1, column), (line, column - 1), (line, column + 1)]:
                following = (cell, both[1]) if agent == 0 else (both[0], cell)
                if rows[cell[0]][cell[1]] in " A" and cell != both[1 - agent] and following not in found:
                    found.add(following)
                    edge.append(following)
    return {both[0] for both in found}, {both[1] for both in found}


@pytest.mark.parametrize(
    "rows",
    [
        *CLASSIC.values(),
        ["WWWWWWWW", "WA  A  W", "WWWWWWWW"],
        ["WWWWWWWW", "W A  WWW", "WWWWA  W", "WWWWWWWW"],
        ["WWWW", "WAAW", "WWWW"],
        ["WWWWWW", "WA A W", "WW WWW", "WWWWWW"],
        ["WWWWWWWW", "WA  AWWW", "WWWW   W", "WWWWWW W", "WWWWWWWW"],
        ["WWWWW", "WAA W", "W W W", "W   W", "WWWWW"],
        ["WWWWWWWWW", "W A A   W", "WWWWWW WW", "WWWWWWWWW"],
        ["WWWW", "WAAW", "W  W", "WWWW"],
        ["WWWWWW", "WAWWAW", "W WW W", "WWWWWW"],
    ],
    ids=lambda rows: "/".join(rows),
)
def test_reachable_floor_is_what_a_search_over_both_positions_finds(rows):
    first, second = sorted((r, c) for r, row in enumerate(rows) for c, s in enumerate(row) if s == "A")
    assert reachable_floor(rows, (first, second)) == by_search(rows, (first, second))


def test_a_shared_pot_is_enough_where_one_fills_it_and_the_other_empties_it():
    check_layout("\n".join(["WWWWWWW", "OA P AB", "W  P  W", "WWWWWXW"]))


def test_a_corridor_in_which_agents_cannot_pass_needs_an_exchange():
    """Each agent misses only the last cell, so both still touch the counters between."""
    check_layout("\n".join(["WPWWXW", "OA  AB", "WWWWWW"]))
    rows = ["WPWXW", "OA AB", "WWWWW"]
    assert reachable_floor(rows, ((1, 1), (1, 3))) == ({(1, 1), (1, 2)}, {(1, 2), (1, 3)})
