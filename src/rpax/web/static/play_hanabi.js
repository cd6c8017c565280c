/* Hanabi's table as buttons: own cards to play or discard, the partner's cards to give hints about. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  const { element } = rpax;
  const SUITS = { R: "red", Y: "yellow", G: "green", W: "white", B: "blue" };

  const suitName = (letter) => SUITS[letter] || `colour ${letter}`;
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  /** The table of Hanabi for somebody who sits at it. */
  rpax.HanabiBoard = class HanabiBoard {
    /**
     * @param {HTMLElement} place
     * @param {(action: number, time: number) => void} act
     */
    constructor(place, act) {
      this.place = place;
      this.act = act;
      this.chosen = null;
      this.state = null;
      window.addEventListener("keydown", (event) => this.down(event));
    }

    /**
     * Show a state.
     * @param {object} scene
     * @param {number[]} values in which the own cards are hidden.
     * @param {{seat: number, partner: string, legal: boolean[], advice: ?number[], active: boolean, over: boolean}} about
     */
    show(scene, values, about) {
      const shown = rpax.renderers.hanabi.describe(scene, values);
      if (!about.over) for (const place of shown.hands[about.seat]) place.card = place.card && { hidden: true };
      this.state = { scene, shown, ...about };
      if (!about.active) this.chosen = null;
      this.draw();
      return shown;
    }

    draw() {
      const focused = this.place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const { shown, seat } = this.state;
      const other = 1 - seat;
      this.place.replaceChildren(
        this.table(),
        this.last(),
        this.hand(other, `${this.state.partner}’s cards`),
        this.hand(seat, "Your cards"),
        this.choices(),
        this.hints(),
        this.discards(),
      );
      this.place.dataset.turn = shown.over ? "over" : shown.turn === seat ? "mine" : "other";
      if (focused === null) return;
      const again = this.place.querySelector(`[data-key="${focused}"]:not(:disabled)`);
      if (again) again.focus();
      else document.getElementById("stage").focus();
    }

    table() {
      const { letters, fireworks, hints, mostHints, lives, mostLives, deck, score, most } = this.state.shown;
      const fires = fireworks.map((height, colour) => {
        const label = `${suitName(letters[colour])} firework: ${height || "nothing yet"}`;
        const card = element("span", { class: "card fire", role: "img", "aria-label": label, "data-suit": letters[colour] });
        card.append(element("b", { text: height ? String(height) : letters[colour] }));
        card.classList.toggle("empty", height === 0);
        return card;
      });
      const row = (name, left, all) => {
        const dots = Array.from({ length: all }, (_, i) => element("i", { class: i < left ? "full" : "" }));
        return element("p", { class: `tokens ${name}`, role: "img", "aria-label": `${left} of ${all} ${name} left` },
          element("span", { text: name }), ...dots);
      };
      const counts = element("p", { class: "counts" }, element("span", { text: `deck ${deck}` }),
        element("b", { text: `score ${score} of ${most}` }));
      return element("div", { class: "h-table" }, element("div", { class: "h-fires" }, ...fires),
        element("div", { class: "h-tokens" }, row("hints", hints, mostHints), row("lives", lives, mostLives), counts));
    }

    last() {
      const { shown, seat, partner } = this.state;
      let told = "";
      if (shown.over) told = shown.lives ? "The game is over." : "The last life is lost.";
      else if (shown.turn !== seat) told = `${partner} is thinking …`;
      else if (shown.last) told = `${partner} ${shown.last}. It is your turn.`;
      else told = "It is your turn.";
      return element("p", { class: "h-last", text: told });
    }

    hand(seat, title) {
      const { shown, active, seat: own } = this.state;
      const mine = seat === own;
      const cards = shown.hands[seat].map(({ card, told }, place) => this.card(mine, card, told, place, active));
      const heading = element("h2", { class: "h-name", text: title });
      const turn = shown.turn === seat && !shown.over;
      return element("div", { class: turn ? "h-hand turn" : "h-hand", "data-seat": seat }, heading, element("div", { class: "h-cards" }, ...cards));
    }

    card(mine, card, told, place, active) {
      const { letters } = this.state.shown;
      if (card === null) return element("span", { class: "card empty" });
      const known = [...told.colours.map((colour) => letters[colour]), ...told.ranks.map(String)];
      const tag = element("span", { class: "told", text: known.join(" ") });
      const face = card.hidden ? "" : String(card.rank);
      const name = card.hidden ? `your card ${place + 1}` : `${suitName(letters[card.colour])} ${card.rank}`;
      const knows = known.length ? `told ${known.join(" ")}` : "told nothing";
      const chosen = this.chosen !== null && this.chosen.mine === mine && this.chosen.place === place;
      const made = element(
        "button",
        {
          type: "button",
          class: card.hidden ? "card back" : "card",
          "aria-label": `${name}, ${knows}`,
          "aria-pressed": String(chosen),
          "data-key": `${mine ? "own" : "other"}-${place}`,
          onclick: () => this.choose(mine, place),
        },
        element("b", { text: face }),
        element("small", { text: card.hidden ? String(place + 1) : letters[card.colour], "aria-hidden": "true" }),
        tag,
      );
      const suit = card.hidden ? (told.colours.length ? letters[told.colours[0]] : null) : letters[card.colour];
      if (suit) made.dataset.suit = suit;
      made.disabled = !active;
      return made;
    }

    choose(mine, place) {
      const same = this.chosen !== null && this.chosen.mine === mine && this.chosen.place === place;
      this.chosen = same ? null : { mine, place };
      this.draw();
    }

    button(action, text, key) {
      const { legal, advice, active } = this.state;
      const share = advice ? advice[action] : 0;
      const made = element("button", {
        type: "button",
        class: advice && share > 0.005 ? "choice advised" : "choice",
        "data-action": action,
        "data-key": key,
        onclick: (event) => {
          this.chosen = null;
          this.act(action, event.timeStamp);
        },
      }, element("span", { text }), element("span", { class: "advice", text: advice ? `${Math.round(share * 100)} %` : "" }));
      made.style.setProperty("--advice", String(share));
      made.disabled = !active || !legal[action];
      return made;
    }

    choices() {
      const { shown, scene, active, seat } = this.state;
      const row = element("div", { class: "h-choices" });
      if (this.chosen === null) {
        const told = active ? "Choose one of your cards to play or discard it, or one of your partner’s to hint at it." : " ";
        row.append(element("p", { text: told }));
      } else if (this.chosen.mine) {
        const { place } = this.chosen;
        row.append(this.button(scene.hand + place, `Play card ${place + 1}`, "play"));
        row.append(this.button(place, `Discard card ${place + 1}`, "discard"));
      } else {
        const hand = shown.hands[1 - seat];
        const { card } = hand[this.chosen.place];
        const touched = (test) => hand.filter((each) => each.card !== null && test(each.card)).length;
        const colours = touched((each) => each.colour === card.colour);
        const ranks = touched((each) => each.rank === card.rank);
        const letter = shown.letters[card.colour];
        row.append(this.button(2 * scene.hand + card.colour, `Hint ${suitName(letter)} · ${plural(colours, "card")}`, "hint-colour"));
        const rank = 2 * scene.hand + scene.colours.length + card.rank - 1;
        row.append(this.button(rank, `Hint ${card.rank} · ${plural(ranks, "card")}`, "hint-rank"));
      }
      return row;
    }

    hints() {
      const { scene } = this.state;
      const first = 2 * scene.hand;
      const colours = scene.colours.map((letter, i) => {
        const made = this.button(first + i, suitName(letter), `colour-${i}`);
        made.dataset.suit = letter;
        made.setAttribute("aria-label", `Hint ${suitName(letter)}`);
        return made;
      });
      const ranks = Array.from({ length: scene.ranks }, (_, i) => {
        const made = this.button(first + scene.colours.length + i, String(i + 1), `rank-${i}`);
        made.setAttribute("aria-label", `Hint ${i + 1}`);
        return made;
      });
      return element("div", { class: "h-hints", role: "group", "aria-label": "Hints" },
        element("span", { text: "Hint" }), ...colours, ...ranks);
    }

    discards() {
      const { letters, discards } = this.state.shown;
      const cards = discards.flatMap((counts, colour) =>
        counts.flatMap((count, rank) =>
          Array.from({ length: count }, () =>
            element("span", { class: "mini", "data-suit": letters[colour], text: String(rank + 1) }))));
      const words = discards
        .flatMap((counts, colour) => counts.map((count, rank) => (count ? `${count} × ${suitName(letters[colour])} ${rank + 1}` : "")))
        .filter(Boolean);
      const row = element("div", { class: "h-discards", role: "img", "aria-label": `Discarded: ${words.join(", ") || "nothing"}` });
      row.append(element("span", { text: "Discarded" }), ...cards);
      return row;
    }

    /** 1 to 5 choose an own card. */
    down(event) {
      const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
      if (!digit || this.place.hidden || this.state === null || !this.state.active) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const place = Number(digit[1]) - 1;
      const there = this.state.shown.hands[this.state.seat][place];
      if (!there || there.card === null) return;
      this.chosen = { mine: true, place };
      this.draw();
      const play = this.place.querySelector('[data-key="play"]');
      if (play) play.focus();
    }
  };
})();
