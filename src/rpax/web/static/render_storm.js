/* STORM; the numbers are told in rpax/recordings/scenes/storm.py. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  rpax.renderers = rpax.renderers || {};
  const { mix, faded, box, disc, ring, stroke, arrow, text } = rpax.shapes;

  /** Facing d looks along DIRECTIONS[d], [across, down]; turning left is d + 1. */
  const DIRECTIONS = [[0, 1], [1, 0], [0, -1], [-1, 0]];
  const COINS = { red: "#d23b38", blue: "#3a7be0" };
  const COLOURS = {
    light: { floor: "#f3f5f8", edge: "#dde1e6", beam: "#ffd95e", ice: "#8cc3ee", mark: "#f3c9c4", cross: "#b3403a" },
    dark: { floor: "#262b32", edge: "#363d46", beam: "#c9a227", ice: "#4f94c8", mark: "#5a3230", cross: "#e88a82" },
  };
  const LINES_BELOW = 1.0;

  /** The cells of a beam: two ahead, and one to either side of the first. */
  function beamOf(x, y, facing) {
    const [across, down] = DIRECTIONS[facing];
    const [leftAcross, leftDown] = DIRECTIONS[(facing + 1) % 4];
    return [[1, 0], [2, 0], [1, 1], [1, -1]].map(([ahead, left]) => [
      x + ahead * across + left * leftAcross,
      y + ahead * down + left * leftDown,
    ]);
  }

  function describe(scene, values) {
    const agents = [0, 6].map((start) => ({
      cell: [values[start], values[start + 1]],
      facing: values[start + 2],
      coins: { red: values[start + 3], blue: values[start + 4] },
      beam: values[start + 5] > 0,
    }));
    const [blue, there, frozen] = values.slice(12);
    const coins = scene.coins
      .map((cell, i) => ({ cell, colour: (blue >> i) & 1 ? "blue" : "red", lies: ((there >> i) & 1) > 0 }))
      .filter((coin) => coin.lies)
      .map(({ cell, colour }) => ({ cell, colour }));
    const taken = new Set([...coins, ...agents].map(({ cell }) => String(cell)));
    const reached = agents.flatMap(({ cell, facing, beam }) => (beam ? beamOf(cell[0], cell[1], facing) : []));
    const inside = ([x, y]) => x >= 0 && y >= 0 && x < scene.size && y < scene.size;
    const lit = [...new Map(reached.map((cell) => [String(cell), cell])).values()]
      .filter((cell) => inside(cell) && !taken.has(String(cell)))
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return { size: scene.size, freeze: scene.freeze, marked: scene.marked, agents, coins, lit, frozen };
  }

  function coinAt(c, colour, x, y, radius) {
    disc(c, x, y + radius * 0.12, radius, "rgba(0,0,0,.18)");
    disc(c, x, y, radius, COINS[colour], mix(COINS[colour], "#000000", 0.35), radius * 0.12);
    disc(c, x, y, radius * 0.66, null, mix(COINS[colour], "#ffffff", 0.5), radius * 0.12);
    text(c, colour === "red" ? "R" : "B", x, y + radius * 0.06, radius * 0.8, "#ffffff", { align: "center", weight: 700 });
  }

  function iceAt(c, x, y, radius, share, colours) {
    disc(c, x, y, radius, faded(colours.ice, 0.35));
    ring(c, x, y, radius, 1, faded(colours.ice, 0.5), radius * 0.1);
    ring(c, x, y, radius, share, colours.ice, radius * 0.14);
    for (let i = 0; i < 6; i += 1) {
      const angle = (i * Math.PI) / 3;
      const spike = [0.72, 0.95].map((far) => [x + radius * far * Math.cos(angle), y + radius * far * Math.sin(angle)]);
      stroke(c, spike, mix(colours.ice, "#ffffff", 0.6), radius * 0.07);
    }
  }

  function agentAt(c, agent, seat, x, y, scale, description, colours, theme) {
    const colour = theme.seats[seat];
    const [across, down] = DIRECTIONS[agent.facing];
    if (description.frozen > 0) iceAt(c, x, y, 0.43 * scale, description.frozen / Math.max(description.freeze, 1), colours);
    arrow(c, x, y + 0.03 * scale, 0.34 * scale, across, down, "rgba(0,0,0,.18)");
    arrow(c, x, y, 0.34 * scale, across, down, colour, mix(colour, "#000000", 0.4), 0.03 * scale);
    const back = 0.02 * scale;
    text(c, String(seat), x - across * back, y - down * back, 0.2 * scale, "#ffffff", { align: "center", weight: 700 });
  }

  function beamAt(c, [x, y], u, colours) {
    const glow = c.createRadialGradient((x + 0.5) * u, (y + 0.5) * u, 0, (x + 0.5) * u, (y + 0.5) * u, 0.6 * u);
    glow.addColorStop(0, faded(colours.beam, 0.95));
    glow.addColorStop(1, faded(colours.beam, 0.35));
    box(c, (x + 0.03) * u, (y + 0.03) * u, 0.94 * u, 0.94 * u, 0.1 * u, glow);
    const [cx, cy] = [(x + 0.5) * u, (y + 0.5) * u];
    const bolt = [[0.1, -0.26], [-0.12, 0.04], [0.02, 0.04], [-0.08, 0.26]];
    stroke(c, bolt.map(([a, d]) => [cx + a * u, cy + d * u]), "rgba(255,255,255,.85)", 0.05 * u);
  }

  function holdingAt(c, agent, seat, left, y, u, room, theme) {
    arrow(c, left + 0.13 * u, y, 0.13 * u, 1, 0, theme.seats[seat]);
    text(c, `seat ${seat}`, left + 0.34 * u, y, 0.2 * u, theme.seatTexts[seat], { weight: 700 });
    let x = left + 1.3 * u;
    for (const colour of ["red", "blue"]) {
      const count = agent.coins[colour];
      if (count > 4) {
        coinAt(c, colour, x, y, 0.13 * u);
        text(c, `×${count}`, x + 0.18 * u, y, 0.22 * u, theme.ink, { most: room - 1.4 * u });
        x += 0.75 * u;
      } else {
        for (let i = 0; i < count; i += 1, x += 0.27 * u) coinAt(c, colour, x, y, 0.13 * u);
        if (count) x += 0.1 * u;
      }
    }
    if (!agent.coins.red && !agent.coins.blue) text(c, "no coins", x - 0.12 * u, y, 0.18 * u, theme.muted);
  }

  function draw(c, description, size, theme) {
    const colours = COLOURS[theme.dark ? "dark" : "light"];
    const side = description.size;
    const u = Math.min(size.width / side, size.height / (side + LINES_BELOW));
    c.save();
    c.translate((size.width - side * u) / 2, (size.height - (side + LINES_BELOW) * u) / 2);
    for (let x = 0; x < side; x += 1) {
      for (let y = 0; y < side; y += 1) {
        box(c, (x + 0.03) * u, (y + 0.03) * u, 0.94 * u, 0.94 * u, 0.1 * u, colours.floor, colours.edge, 0.015 * u);
      }
    }
    if (description.marked) {
      const [x, y] = description.marked;
      box(c, (x + 0.03) * u, (y + 0.03) * u, 0.94 * u, 0.94 * u, 0.1 * u, colours.mark, colours.edge, 0.015 * u);
      for (const sign of [-1, 1]) {
        const line = [-0.2, 0.2].map((far) => [(x + 0.5 + far) * u, (y + 0.5 + sign * far) * u]);
        stroke(c, line, colours.cross, 0.06 * u);
      }
    }
    for (const cell of description.lit) beamAt(c, cell, u, colours);
    for (const { cell, colour } of description.coins) coinAt(c, colour, (cell[0] + 0.5) * u, (cell[1] + 0.5) * u, 0.2 * u);
    const shared = String(description.agents[0].cell) === String(description.agents[1].cell);
    description.agents.forEach((agent, seat) => {
      const shift = shared ? (2 * seat - 1) * 0.2 : 0;
      const [x, y] = agent.cell.map((place) => (place + 0.5 + shift) * u);
      agentAt(c, agent, seat, x, y, shared ? 0.7 * u : u, description, colours, theme);
    });
    description.agents.forEach((agent, seat) => {
      holdingAt(c, agent, seat, 0.1 * u, (side + 0.3 + seat * 0.44) * u, u, side * u, theme);
    });
    if (description.frozen > 0) {
      const words = `frozen for ${description.frozen}`;
      text(c, words, (side - 0.1) * u, (side + 0.3) * u, 0.2 * u, theme.dark ? colours.ice : "#1f6698", {
        align: "right",
        weight: 700,
      });
    }
    c.restore();
  }

  function alt({ agents, coins, frozen, lit }) {
    const facings = ["down", "right", "up", "left"];
    const told = agents.map(({ cell, facing, coins: held, beam }, seat) => {
      const where = `column ${cell[0] + 1}, line ${cell[1] + 1}`;
      const fires = beam ? ", fires a beam" : "";
      return `Seat ${seat} in ${where}, faces ${facings[facing]}, holds ${held.red} red and ${held.blue} blue${fires}.`;
    });
    const lying = coins.map(({ cell, colour }) => `${colour} in column ${cell[0] + 1}, line ${cell[1] + 1}`);
    const ice = frozen > 0 ? [`Both frozen for ${frozen} steps.`] : [];
    const light = lit.length ? [`${lit.length} cells lit.`] : [];
    return ["STORM.", ...told, `Coins: ${lying.join("; ") || "none"}.`, ...light, ...ice].join(" ");
  }

  rpax.renderers.storm = {
    fields: () => 15,
    aspect: (scene) => scene.size / (scene.size + LINES_BELOW),
    describe,
    draw,
    alt,
  };
})();
