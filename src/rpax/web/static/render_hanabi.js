/* Hanabi for two; the numbers are told in rpax/recordings/scenes/hanabi.py. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  rpax.renderers = rpax.renderers || {};
  const { mix, box, disc, stroke, text } = rpax.shapes;
  const SUITS = { R: "#c8322f", Y: "#c79200", G: "#2b9156", W: "#7d8794", B: "#2f6fd0" };
  const OTHERS = ["#7f5a9e", "#d9772f", "#3a9fd0"];
  const [CARD_WIDTH, CARD_HEIGHT, GAP, LABEL, TOP, HAND] = [54, 74, 10, 84, 116, 116];

  function describe(scene, values) {
    const colours = scene.colours.length;
    const { ranks, hand } = scene;
    let next = 0;
    const take = (count) => Array.from(values.slice(next, (next += count)));
    const [cards, toldColours, toldRanks] = [take(2 * hand), take(2 * hand), take(2 * hand)];
    const heights = take(colours);
    const discards = Array.from({ length: colours }, () => take(ranks));
    const [hints, lives, deck, score, turn, over, last] = take(7);
    const bits = (flags, count) => Array.from({ length: count }, (_, i) => i).filter((i) => (flags >> i) & 1);
    const cardOf = (code) => (code ? { colour: Math.floor((code - 1) / ranks), rank: ((code - 1) % ranks) + 1 } : null);
    const hands = [0, 1].map((seat) =>
      Array.from({ length: hand }, (_, place) => {
        const at = seat * hand + place;
        const told = { colours: bits(toldColours[at], colours), ranks: bits(toldRanks[at], ranks).map((rank) => rank + 1) };
        return { card: cardOf(cards[at]), told };
      }),
    );
    const tokens = { hints, mostHints: scene.hints, lives, mostLives: scene.lives, deck };
    const about = { letters: scene.colours, ranks, most: scene.most };
    return { ...about, ...tokens, fireworks: heights, discards, score, turn, over: over > 0, hands, last: moveOf(scene, last) };
  }

  /** An action by its number: discard, play, hint a colour, hint a rank, and the last one waits (`null`). */
  function moveOf(scene, action) {
    const { hand, colours, ranks } = scene;
    if (action < hand) return `discards card ${action + 1}`;
    if (action < 2 * hand) return `plays card ${action - hand + 1}`;
    if (action < 2 * hand + colours.length) return `hints ${colours[action - 2 * hand]}`;
    if (action < 2 * hand + colours.length + ranks) return `hints ${action - 2 * hand - colours.length + 1}`;
    return null;
  }

  function suit(letter, number, theme) {
    const colour = SUITS[letter] || OTHERS[number % OTHERS.length];
    return theme.dark ? mix(colour, "#ffffff", 0.25) : colour;
  }

  function cardAt(c, x, y, letter, rank, number, theme) {
    const colour = suit(letter, number, theme);
    if (rank === 0) {
      c.setLineDash([4, 4]);
      box(c, x, y, CARD_WIDTH, CARD_HEIGHT, 8, null, mix(colour, theme.panel, 0.4), 1.5);
      c.setLineDash([]);
      text(c, letter, x + CARD_WIDTH / 2, y + CARD_HEIGHT / 2, 18, mix(colour, theme.panel, 0.3), { align: "center" });
      return;
    }
    box(c, x, y + 2, CARD_WIDTH, CARD_HEIGHT, 8, "rgba(0,0,0,.12)");
    box(c, x, y, CARD_WIDTH, CARD_HEIGHT, 8, mix(colour, theme.raised, theme.dark ? 0.78 : 0.88), colour, 2);
    text(c, String(rank), x + CARD_WIDTH / 2, y + CARD_HEIGHT / 2 - 5, 32, colour, { align: "center", weight: 700 });
    text(c, letter, x + CARD_WIDTH / 2, y + CARD_HEIGHT - 13, 12, colour, { align: "center", weight: 600, most: CARD_WIDTH - 8 });
  }

  function tokensAt(c, name, left, most, x, y, colour, theme) {
    text(c, name, x, y, 12, theme.muted);
    for (let i = 0; i < most; i += 1) {
      disc(c, x + 46 + 15 * i, y, 5.5, i < left ? colour : null, i < left ? mix(colour, "#000000", 0.25) : theme.line, 1.3);
    }
  }

  function tableAt(c, d, x, theme) {
    tokensAt(c, "hints", d.hints, d.mostHints, x, 14, "#3a7be0", theme);
    tokensAt(c, "lives", d.lives, d.mostLives, x, 37, "#d23b38", theme);
    text(c, `deck ${d.deck}`, x, 60, 12, theme.muted);
    text(c, `score ${d.score} of ${d.most}`, x + 62, 60, 14, theme.ink, { weight: 700 });
    if (d.over) text(c, d.lives ? "the end" : "no lives left", x + 62, 80, 13, theme.bad, { weight: 700 });
  }

  function handAt(c, d, seat, top, theme) {
    const moves = d.turn === seat && !d.over;
    const right = LABEL + d.hands[seat].length * (CARD_WIDTH + GAP) + 4;
    if (moves) {
      box(c, -6, top - 8, right + 8, HAND - 6, 10, mix(theme.panel, theme.seats[seat], 0.12));
      box(c, -6, top + 2, 4, HAND - 26, 2, theme.seats[seat]);
    }
    text(c, `seat ${seat}`, 8, top + 26, 15, theme.seatTexts[seat], { weight: 700 });
    if (moves) text(c, "to move", 8, top + 46, 12, theme.muted);
    d.hands[seat].forEach(({ card, told }, place) => {
      const x = LABEL + place * (CARD_WIDTH + GAP);
      if (card === null) {
        c.setLineDash([3, 4]);
        box(c, x, top, CARD_WIDTH, CARD_HEIGHT, 8, null, theme.faint, 1.5);
        c.setLineDash([]);
        return;
      }
      cardAt(c, x, top, d.letters[card.colour], card.rank, card.colour, theme);
      toldAt(c, d, told, x, top + CARD_HEIGHT + 5, theme);
    });
  }

  function toldAt(c, d, told, x, y, theme) {
    const words = [...told.colours.map((i) => d.letters[i]), ...told.ranks].join(" ");
    if (words) {
      const fill = told.colours.length === 1 ? suit(d.letters[told.colours[0]], told.colours[0], theme) : theme.muted;
      box(c, x + 5, y, CARD_WIDTH - 10, 19, 6, theme.dark ? mix(fill, "#000000", 0.55) : fill);
      text(c, words, x + CARD_WIDTH / 2, y + 10, 12, "#ffffff", { align: "center", weight: 700, most: CARD_WIDTH - 16 });
    } else {
      disc(c, x + CARD_WIDTH / 2, y + 9, 1.8, theme.line);
    }
  }

  function discardsAt(c, d, top, wide, theme) {
    text(c, "discarded", 0, top, 12, theme.muted);
    stroke(c, [[64, top], [wide - 4, top]], theme.faint, 1);
    let x = 0;
    let y = top + 22;
    d.discards.forEach((counts, number) => {
      const colour = suit(d.letters[number], number, theme);
      counts.forEach((count, rank) => {
        for (let i = 0; i < count; i += 1) {
          if (x > wide - 22) [x, y] = [0, y + 26];
          box(c, x, y - 11, 17, 22, 4, mix(colour, theme.raised, theme.dark ? 0.75 : 0.86), colour, 1.2);
          text(c, String(rank + 1), x + 8.5, y + 0.5, 12, colour, { align: "center", weight: 600 });
          x += 20;
        }
      });
      if (counts.some((count) => count > 0)) x += 8;
    });
  }

  function extent(colours, hand) {
    const wide = Math.max(LABEL + hand * (CARD_WIDTH + GAP), colours * (CARD_WIDTH + 6) + 14 + 175);
    const lines = colours >= 5 ? 3 : colours === 4 ? 2 : 1;
    return { wide, high: TOP + 2 * HAND + 36 + 26 * lines };
  }

  function draw(c, d, size, theme) {
    const { wide, high } = extent(d.letters.length, d.hands[0].length);
    const pad = 10;
    const scale = Math.min(size.width / (wide + 2 * pad), size.height / (high + 2 * pad));
    c.save();
    c.translate((size.width - scale * wide) / 2, (size.height - scale * high) / 2);
    c.scale(scale, scale);
    d.fireworks.forEach((height, i) => cardAt(c, i * (CARD_WIDTH + 6), 0, d.letters[i], height, i, theme));
    tableAt(c, d, d.letters.length * (CARD_WIDTH + 6) + 14, theme);
    if (d.last) {
      const mover = d.over ? null : 1 - d.turn;
      const who = mover === null ? "last" : `seat ${mover}`;
      text(c, `${who} ${d.last}`, 0, 93, 13, mover === null ? theme.muted : theme.seatTexts[mover], { weight: 600 });
    }
    for (const seat of [0, 1]) handAt(c, d, seat, TOP + seat * HAND, theme);
    discardsAt(c, d, TOP + 2 * HAND + 12, wide, theme);
    c.restore();
  }

  function alt(d) {
    const name = (card) => (card ? `${d.letters[card.colour]}${card.rank}` : "none");
    const told = ({ colours, ranks }) => [...colours.map((i) => d.letters[i]), ...ranks].join("") || "nothing";
    const hands = d.hands.map(
      (hand, seat) => `Seat ${seat}: ${hand.map((place) => `${name(place.card)}, told ${told(place.told)}`).join("; ")}.`,
    );
    const fires = d.fireworks.map((height, i) => `${d.letters[i]}${height}`).join(" ");
    const state = d.over ? "The game is over." : `Seat ${d.turn} to move.`;
    const counts = `${d.hints} hints, ${d.lives} lives, ${d.deck} cards in the deck, score ${d.score} of ${d.most}.`;
    return ["Hanabi.", state, `Fireworks ${fires}.`, counts, ...hands].join(" ");
  }

  rpax.renderers.hanabi = {
    fields: (scene) => 6 * scene.hand + scene.colours.length * (1 + scene.ranks) + 7,
    aspect: (scene) => {
      const { wide, high } = extent(scene.colours.length, scene.hand);
      return (wide + 20) / (high + 20);
    },
    describe,
    draw,
    alt,
  };
})();
