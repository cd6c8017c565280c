/* Payoff tables of matrix and small extensive-form games; see rpax/recordings/scenes/tabular.py. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  rpax.renderers = rpax.renderers || {};
  const { mix, box, stroke, text, width } = rpax.shapes;
  const END = -1;
  const MOST_SHOWN = 12;
  const TINTS = { light: ["#cfe5f5", "#fadccb"], dark: ["#1f4d6b", "#6b3a1e"] };
  const [HEAD, CELL_WIDTH, CELL_HEIGHT, SIDE] = [74, 112, 76, 128];

  function describe(scene, values, extras = {}) {
    const [state, ended, before, row, column] = values;
    const payoffs = scene.payoffs[state];
    const moved = before > 0 ? { state: before - 1, actions: [row - 1, column - 1] } : null;
    return {
      state,
      states: scene.payoffs.length,
      actions: scene.actions,
      payoffs,
      next: scene.next[state],
      common: payoffs.every((line) => line.every(([first, second]) => first === second)),
      ended: ended > 0,
      played: ended > 0 && moved ? moved.actions : null,
      last: moved,
      policies: extras.policies || null,
    };
  }

  function tint(share, theme) {
    const [good, bad] = TINTS[theme.dark ? "dark" : "light"];
    return share >= 0 ? mix(theme.raised, good, share) : mix(theme.raised, bad, -share);
  }

  function shares(payoffs) {
    const means = payoffs.map((line) => line.map(([first, second]) => (first + second) / 2));
    const [low, high] = [Math.min(...means.flat()), Math.max(...means.flat())];
    return means.map((line) => line.map((mean) => (high > low ? (2 * (mean - low)) / (high - low) - 1 : 0)));
  }

  function marginAt(c, chance, x, y, long, seat, theme) {
    box(c, x, y, long, 6, 3, theme.faint);
    if (chance > 0) box(c, x, y, Math.max(long * chance, 3), 6, 3, theme.seats[seat]);
    const words = chance > 0 && chance < 0.005 ? "<1 %" : `${Math.round(chance * 100)} %`;
    text(c, words, x + long, y - 8, 11, theme.muted, { align: "right" });
  }

  function cellAt(c, description, i, j, x, y, theme) {
    const [first, second] = description.payoffs[i][j];
    const lift = description.states > 1 ? 6 : 0;
    const [w, h] = [CELL_WIDTH, CELL_HEIGHT];
    if (description.common) {
      text(c, rpax.number(first), x + w / 2, y + h / 2 - lift, 20, theme.ink, { align: "center", weight: 600, most: w - 16 });
    } else {
      stroke(c, [[x + 8, y + 8], [x + w - 8, y + h - 8]], theme.faint, 1);
      text(c, rpax.number(first), x + 0.28 * w, y + 0.68 * h - lift / 2, 18, theme.seatTexts[0], { align: "center", weight: 700, most: w / 2 - 8 });
      text(c, rpax.number(second), x + 0.72 * w, y + 0.32 * h - lift / 2, 18, theme.seatTexts[1], { align: "center", weight: 700, most: w / 2 - 8 });
    }
    if (description.states > 1) {
      const following = description.next[i][j];
      text(c, following === END ? "end" : `→ state ${following}`, x + w / 2, y + h - 12, 11, theme.muted, { align: "center" });
    }
  }

  function heading({ states, state, ended, last, actions, played }) {
    const name = (move) => move.map((action, seat) => actions[seat][action]).join(", ");
    const where = states > 1 ? `state ${state} of ${states}` : "payoffs";
    if (played) return `${where} · played ${name(played)}`;
    if (ended) return `${where} · over`;
    return last ? `${where} · last ${name(last.actions)} in state ${last.state}` : where;
  }

  function draw(c, description, size, theme) {
    const [rows, columns] = description.actions.map((names) => Math.min(names.length, MOST_SHOWN));
    const wide = SIDE + columns * CELL_WIDTH + 12;
    const high = HEAD + rows * CELL_HEIGHT + 26;
    const scale = Math.min(size.width / wide, size.height / high);
    const tints = shares(description.payoffs);
    c.save();
    c.translate((size.width - scale * wide) / 2, (size.height - scale * high) / 2);
    c.scale(scale, scale);
    const policies = description.policies || [null, null];
    const fade = (seat, action) => (description.played && description.played[seat] !== action ? theme.muted : theme.seatTexts[seat]);
    for (let j = 0; j < columns; j += 1) {
      const x = SIDE + j * CELL_WIDTH;
      text(c, description.actions[1][j], x + CELL_WIDTH / 2, 20, 16, fade(1, j), { align: "center", weight: 700, most: CELL_WIDTH - 12 });
      if (policies[1]) marginAt(c, policies[1][j], x + 10, 52, CELL_WIDTH - 20, 1, theme);
    }
    for (let i = 0; i < rows; i += 1) {
      const y = HEAD + i * CELL_HEIGHT;
      text(c, description.actions[0][i], 10, y + (policies[0] ? 24 : CELL_HEIGHT / 2), 16, fade(0, i), { weight: 700, most: SIDE - 24 });
      if (policies[0]) marginAt(c, policies[0][i], 10, y + 54, SIDE - 28, 0, theme);
      for (let j = 0; j < columns; j += 1) {
        const x = SIDE + j * CELL_WIDTH;
        box(c, x + 2, y + 2, CELL_WIDTH - 4, CELL_HEIGHT - 4, 8, tint(tints[i][j], theme), theme.faint, 1);
        cellAt(c, description, i, j, x, y, theme);
      }
    }
    if (description.played) playedAt(c, description.played, rows, columns, theme);
    const cut = description.actions.some((names) => names.length > MOST_SHOWN) ? `, first ${MOST_SHOWN} actions` : "";
    text(c, heading(description) + cut, 10, high - 12, 13, theme.muted, { most: wide - 20 });
    c.restore();
  }

  function playedAt(c, [i, j], rows, columns, theme) {
    if (i >= rows || j >= columns) return;
    const [x, y] = [SIDE + j * CELL_WIDTH, HEAD + i * CELL_HEIGHT];
    box(c, x + 2, y + 2, CELL_WIDTH - 4, CELL_HEIGHT - 4, 8, null, theme.ink, 3.5);
    const label = "played";
    const long = width(c, label, 11, 700) + 12;
    box(c, x + CELL_WIDTH - long - 2, y + CELL_HEIGHT - 20, long, 18, 6, theme.ink);
    text(c, label, x + CELL_WIDTH - long / 2 - 2, y + CELL_HEIGHT - 11, 11, theme.paper, { align: "center", weight: 700 });
  }

  function alt(description) {
    const [rows, columns] = description.actions;
    const lines = rows.slice(0, MOST_SHOWN).flatMap((row, i) =>
      columns.slice(0, MOST_SHOWN).map((column, j) => {
        const [first, second] = description.payoffs[i][j].map(rpax.number);
        return `${row}, ${column}: ${description.common ? first : `${first} and ${second}`}`;
      }),
    );
    return `Payoff table, rows seat 0, columns seat 1, ${heading(description)}. ${lines.join("; ")}.`;
  }

  rpax.renderers.table = {
    fields: () => 5,
    aspect: (scene) => {
      const [rows, columns] = scene.actions.map((names) => Math.min(names.length, MOST_SHOWN));
      return (SIDE + columns * CELL_WIDTH + 12) / (HEAD + rows * CELL_HEIGHT + 26);
    },
    /** The width in pixels beyond which it would only be blown up. */
    widest: (scene) => 1.5 * (SIDE + Math.min(scene.actions[1].length, MOST_SHOWN) * CELL_WIDTH + 12),
    describe,
    draw,
    alt,
  };
})();
