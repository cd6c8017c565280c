/* Kitchens of Overcooked and OvercookedV2; the numbers are told in rpax/recordings/scenes/overcooked.py. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  rpax.renderers = rpax.renderers || {};
  const { mix, faded, paint, box, disc, ring, stroke, polygon, text } = rpax.shapes;

  const KINDS = { ".": "floor", "#": "counter", P: "pot", X: "goal", B: "plates", R: "recipe", r: "button" };
  /** Facing 0 up, 1 down, 2 right, 3 left, as [across, down]. */
  const STEPS = [[0, -1], [0, 1], [1, 0], [-1, 0]];
  const INGREDIENTS = ["#e9b949", "#d9534a", "#6aa84f", "#8e6bb3", "#e58e4b"];
  const INGREDIENT_NAMES = ["onion", "tomato", "broccoli", "beetroot", "carrot"];
  const COLOURS = {
    light: {
      floor: ["#f6f1e8", "#efe8db"],
      counter: "#d0b894",
      stove: "#8a929c",
      pot: "#4a525d",
      goal: "#a9d8b6",
      plate: "#ffffff",
      soup: "#e0862a",
      ready: "#2e9e5b",
      ink: "#22272e",
      board: "#bfa57f",
    },
    dark: {
      floor: ["#30353c", "#2b3036"],
      counter: "#6d5b45",
      stove: "#59626d",
      pot: "#1a1e23",
      goal: "#2f6b48",
      plate: "#eef0f2",
      soup: "#e8953d",
      ready: "#4cc583",
      ink: "#15181c",
      board: "#4e4132",
    },
  };

  const kindOf = (tile) => KINDS[tile] || "pile";
  const holdsItems = (tile) => tile === "#" || tile === "P";
  const count = (scene, wanted) => scene.tiles.join("").split("").filter(wanted).length;
  const hasRecipe = (scene) => count(scene, (tile) => tile === "R" || tile === "r") > 0;

  /** Bit 0 is a plate, bit 1 says cooked, then two bits count each ingredient. */
  function itemOf(bits) {
    const ingredients = [];
    for (let rest = bits >> 2, number = 0; rest > 0; rest >>= 2, number += 1) {
      for (let i = 0; i < (rest & 3); i += 1) ingredients.push(number);
    }
    return { ingredients, plated: (bits & 1) > 0, cooked: (bits & 2) > 0 };
  }

  const isNothing = (item) => !item.plated && item.ingredients.length === 0;

  function describe(scene, values) {
    const cooks = [0, 4].map((start) => ({
      cell: [values[start], values[start + 1]],
      facing: values[start + 2],
      held: itemOf(values[start + 3]),
    }));
    const rows = scene.tiles.map((row) => row.split(""));
    let nextItem = 8;
    let nextLeft = nextItem + count(scene, holdsItems);
    let nextShown = nextLeft + count(scene, (tile) => tile === "P");
    const recipe = hasRecipe(scene) ? itemOf(values[values.length - 1]) : null;
    const tiles = rows.map((row) =>
      row.map((symbol) => {
        const tile = { kind: kindOf(symbol) };
        if (tile.kind === "pile") tile.pile = Number(symbol);
        if (holdsItems(symbol)) tile.item = itemOf(values[nextItem++]);
        if (tile.kind === "pot") {
          const left = values[nextLeft++];
          tile.left = left > 0 ? left - 1 : null;
        }
        if (tile.kind === "recipe") tile.item = recipe;
        if (tile.kind === "button") tile.item = values[nextShown++] > 0 ? recipe : null;
        return tile;
      }),
    );
    return { cookTime: scene.cook_time, tiles, cooks };
  }

  function ingredientAt(c, number, x, y, radius, colours) {
    const colour = INGREDIENTS[number % INGREDIENTS.length];
    const dark = mix(colour, colours.ink, 0.45);
    stroke(c, [[x, y - radius * 0.6], [x + radius * 0.35, y - radius * 1.35]], mix(colour, "#2e7d32", 0.7), radius * 0.26);
    disc(c, x, y, radius, colour, dark, radius * 0.13);
    if (number === 0) {
      for (const side of [-1, 1]) {
        c.beginPath();
        c.ellipse(x, y, radius * 0.48, radius * 0.92, 0, side > 0 ? -1.3 : Math.PI - 1.3, side > 0 ? 1.3 : Math.PI + 1.3);
        paint(c, null, mix(colour, colours.ink, 0.22), radius * 0.1);
      }
    }
    disc(c, x - radius * 0.34, y - radius * 0.34, radius * 0.2, mix(colour, "#ffffff", 0.7));
  }

  function plateAt(c, x, y, radius, colours) {
    disc(c, x, y, radius, colours.plate, mix(colours.plate, colours.ink, 0.4), radius * 0.08);
    disc(c, x, y, radius * 0.64, mix(colours.plate, colours.ink, 0.05), mix(colours.plate, colours.ink, 0.16), radius * 0.06);
  }

  function itemAt(c, item, x, y, size, colours) {
    if (isNothing(item)) return;
    const { ingredients } = item;
    if (item.plated) {
      plateAt(c, x, y, size, colours);
      if (item.cooked) disc(c, x, y, size * 0.62, colours.soup, mix(colours.soup, colours.ink, 0.3), size * 0.07);
    }
    if (ingredients.length === 1 && !item.plated) {
      ingredientAt(c, ingredients[0], x, y + size * 0.1, size * 0.62, colours);
      return;
    }
    const spots = [[-0.3, 0.2], [0.3, 0.2], [0, -0.28]];
    const radius = item.plated ? 0.22 : 0.34;
    ingredients.slice(0, 3).forEach((number, i) => {
      ingredientAt(c, number, x + spots[i][0] * size, y + spots[i][1] * size, size * radius, colours);
    });
  }

  function potAt(c, tile, x, y, u, colours, cookTime) {
    box(c, x - 0.42 * u, y - 0.42 * u, 0.84 * u, 0.84 * u, 0.12 * u, colours.stove, mix(colours.stove, colours.ink, 0.3), 0.02 * u);
    const rim = mix(colours.pot, "#ffffff", 0.18);
    for (const side of [-1, 1]) box(c, x + side * 0.36 * u - 0.06 * u, y - 0.06 * u, 0.12 * u, 0.12 * u, 0.03 * u, rim);
    disc(c, x, y, 0.33 * u, rim);
    disc(c, x, y, 0.28 * u, colours.pot);
    const { left, item } = tile;
    const cooking = left !== null;
    if (cooking) {
      disc(c, x, y, 0.25 * u, left === 0 ? colours.soup : mix(colours.soup, colours.pot, 0.35));
      ring(c, x, y, 0.385 * u, 1, faded(colours.ink, 0.35), 0.06 * u);
      ring(c, x, y, 0.385 * u, left === 0 ? 1 : 1 - left / cookTime, left === 0 ? colours.ready : "#ffb74d", 0.06 * u);
    }
    const inPot = cooking ? 0.085 : 0.1;
    const spots = cooking ? [[-0.13, -0.13], [0.13, -0.13], [0, -0.2]] : [[-0.11, 0.08], [0.11, 0.08], [0, -0.1]];
    if (!cooking || left > 0) {
      item.ingredients.slice(0, 3).forEach((number, i) => {
        ingredientAt(c, number, x + spots[i][0] * u, y + spots[i][1] * u, inPot * u, colours);
      });
    }
    if (cooking && left > 0) {
      text(c, String(left), x, y + 0.09 * u, 0.24 * u, "#ffffff", { align: "center", weight: 700 });
    } else if (cooking) {
      for (const shift of [-0.1, 0, 0.1]) {
        const wave = [[shift, -0.02], [shift + 0.035, -0.09], [shift - 0.02, -0.15], [shift + 0.02, -0.22]];
        stroke(c, wave.map(([a, d]) => [x + a * u, y + (d + 0.06) * u]), "rgba(255,255,255,.75)", 0.025 * u);
      }
      disc(c, x + 0.27 * u, y + 0.27 * u, 0.12 * u, colours.ready, "#ffffff", 0.02 * u);
      stroke(c, [[-0.05, 0], [-0.01, 0.04], [0.055, -0.045]].map(([a, d]) => [x + (0.27 + a) * u, y + (0.27 + d) * u]), "#ffffff", 0.03 * u);
    }
  }

  function counterAt(c, left, top, u, colour, colours) {
    box(c, left + 0.01 * u, top + 0.01 * u, 0.98 * u, 0.98 * u, 0.08 * u, mix(colour, colours.ink, 0.28));
    box(c, left + 0.01 * u, top + 0.01 * u, 0.98 * u, 0.91 * u, 0.08 * u, mix(colour, "#ffffff", 0.12));
    box(c, left + 0.05 * u, top + 0.05 * u, 0.9 * u, 0.83 * u, 0.06 * u, colour);
  }

  function tileAt(c, tile, column, line, u, colours, cookTime) {
    const [left, top] = [column * u, line * u];
    const [x, y] = [left + u / 2, top + u / 2];
    if (tile.kind === "floor") {
      c.fillStyle = colours.floor[(column + line) % 2];
      c.fillRect(left, top, u + 0.5, u + 0.5);
      return;
    }
    counterAt(c, left, top, u, tile.kind === "goal" ? colours.goal : colours.counter, colours);
    if (tile.kind === "goal") {
      const bright = mix(colours.goal, "#ffffff", 0.75);
      box(c, x - 0.3 * u, y + 0.13 * u, 0.6 * u, 0.07 * u, 0.03 * u, bright);
      c.beginPath();
      c.arc(x, y + 0.1 * u, 0.24 * u, Math.PI, 2 * Math.PI);
      c.closePath();
      c.fillStyle = bright;
      c.fill();
      disc(c, x, y - 0.17 * u, 0.045 * u, bright);
    } else if (tile.kind === "pile") {
      box(c, x - 0.36 * u, y - 0.34 * u, 0.72 * u, 0.7 * u, 0.07 * u, mix(colours.counter, colours.ink, 0.42));
      for (const [a, d] of [[-0.16, -0.12], [0.16, -0.12], [0, 0.04], [-0.18, 0.17], [0.18, 0.17]]) {
        ingredientAt(c, tile.pile, x + a * u, y + d * u, 0.14 * u, colours);
      }
    } else if (tile.kind === "plates") {
      for (const lift of [0.1, 0.02, -0.06]) plateAt(c, x, y + lift * u, 0.29 * u, colours);
    } else if (tile.kind === "pot") {
      potAt(c, tile, x, y - 0.03 * u, u, colours, cookTime);
    } else if (tile.kind === "recipe" || tile.kind === "button") {
      recipeAt(c, tile, x, y - 0.03 * u, u, colours);
    } else {
      itemAt(c, tile.item, x, y - 0.03 * u, 0.3 * u, colours);
    }
  }

  function recipeAt(c, tile, x, y, u, colours) {
    box(c, x - 0.37 * u, y - 0.25 * u, 0.74 * u, 0.5 * u, 0.06 * u, "#fffdf5", mix("#fffdf5", colours.ink, 0.4), 0.02 * u);
    if (tile.item === null || isNothing(tile.item)) {
      if (tile.kind === "button") disc(c, x, y, 0.13 * u, "#c62f2d", "#8f1d1b", 0.03 * u);
      else text(c, "?", x, y, 0.32 * u, "#59636e", { align: "center", weight: 700 });
      return;
    }
    tile.item.ingredients.forEach((number, i) => {
      const across = (i - (tile.item.ingredients.length - 1) / 2) * 0.22;
      ingredientAt(c, number, x + across * u, y + 0.02 * u, 0.095 * u, colours);
    });
  }

  function cookAt(c, cook, seat, u, colours, theme) {
    const [x, y] = [(cook.cell[0] + 0.5) * u, (cook.cell[1] + 0.5) * u];
    const [across, down] = STEPS[cook.facing];
    const colour = theme.seats[seat];
    const edge = mix(colour, "#000000", 0.35);
    const place = (ahead, aside) => [x + (across * ahead - down * aside) * u, y + (down * ahead + across * aside) * u];
    disc(c, x, y + 0.04 * u, 0.36 * u, faded(colours.ink, 0.18));
    polygon(c, [place(0.47, 0), place(0.3, 0.17), place(0.3, -0.17)], colour, edge, 0.02 * u);
    for (const side of [-1, 1]) disc(c, ...place(0.2, side * 0.3), 0.1 * u, mix(colour, "#ffffff", 0.25), edge, 0.02 * u);
    disc(c, x, y, 0.33 * u, colour, edge, 0.03 * u);
    for (const [ahead, aside] of [[-0.12, 0.13], [-0.12, -0.13], [-0.24, 0]]) disc(c, ...place(ahead, aside), 0.13 * u, "#ffffff");
    disc(c, ...place(-0.1, 0), 0.17 * u, "#ffffff", "rgba(0,0,0,.1)", 0.01 * u);
    for (const side of [-1, 1]) disc(c, ...place(0.16, side * 0.09), 0.04 * u, "#15181c");
    text(c, String(seat), ...place(-0.12, 0), 0.22 * u, mix(colour, "#000000", 0.2), { align: "center", weight: 700 });
    itemAt(c, cook.held, ...place(0.3, 0), 0.23 * u, colours);
  }

  function draw(c, description, size, theme) {
    const colours = COLOURS[theme.dark ? "dark" : "light"];
    const { tiles, cooks } = description;
    const u = Math.min(size.width / tiles[0].length, size.height / tiles.length);
    c.save();
    c.translate((size.width - u * tiles[0].length) / 2, (size.height - u * tiles.length) / 2);
    box(c, 0, 0, u * tiles[0].length, u * tiles.length, 0.1 * u, colours.board);
    tiles.forEach((row, line) => {
      row.forEach((tile, column) => tileAt(c, tile, column, line, u, colours, description.cookTime));
    });
    cooks.forEach((cook, seat) => cookAt(c, cook, seat, u, colours, theme));
    c.restore();
  }

  function itemText(item) {
    if (isNothing(item)) return "nothing";
    const names = item.ingredients.map((number) => INGREDIENT_NAMES[number] || `ingredient ${number}`);
    if (item.plated && item.cooked) return `a soup of ${names.join(", ")}`;
    return (item.plated ? ["a plate", ...names] : names).join(", ");
  }

  function alt(description) {
    const facings = ["up", "down", "right", "left"];
    const cooks = description.cooks.map(
      ({ cell, facing, held }, seat) =>
        `Seat ${seat} in column ${cell[0] + 1}, line ${cell[1] + 1}, faces ${facings[facing]}, holds ${itemText(held)}.`,
    );
    const pots = description.tiles.flat().filter((tile) => tile.kind === "pot");
    const states = pots.map(({ item, left }) => {
      if (left === 0) return "Pot: soup is ready.";
      return left === null ? `Pot: ${item.ingredients.length} in it.` : `Pot: cooks, ${left} steps left.`;
    });
    return ["Kitchen.", ...cooks, ...states].join(" ");
  }

  rpax.renderers.overcooked = {
    fields: (scene) =>
      8 +
      count(scene, holdsItems) +
      count(scene, (tile) => tile === "P" || tile === "r") +
      (hasRecipe(scene) ? 1 : 0),
    aspect: (scene) => scene.tiles[0].length / scene.tiles.length,
    describe,
    draw,
    alt,
  };
})();
