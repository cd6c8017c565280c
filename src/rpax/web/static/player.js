/* The player of a recording: canvas, controls, what both seats may do. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  /** Steps a second at speed 1. */
  const STEPS_A_SECOND = 5;
  const SPEEDS = [0.5, 1, 2, 4, 8, 16];
  const LEAP = 10;
  /** So many actions have a line each. */
  const FEW_ACTIONS = 6;
  /** How events are marked, and which are small. */
  const MARKS = {
    delivery: "good",
    score: "good",
    interaction: "meet",
    payoff: "meet",
    mistake: "bad",
    sabotage: "bad",
    cooking: "small",
    ready: "small",
    end: "end",
  };
  const ICONS = {
    first: "M3 2h2v12H3zM14 2v12L6 8z",
    back: "M12 2v12L4 8z",
    play: "M4 2v12l9-6z",
    pause: "M4 2h3v12H4zM9 2h3v12H9z",
    next: "M4 2v12l8-6z",
    last: "M11 2h2v12h-2zM2 2v12l8-6z",
    eventBack: "M13 3v10L7 8zM5 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6z",
    eventNext: "M3 3v10l6-5zM11 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6z",
  };

  /** For tests and the curious: every player on the page. */
  rpax.test = rpax.test || { players: [] };

  function make(name, className, parent, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  function setIcon(button, icon) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", ICONS[icon]);
    svg.append(path);
    button.replaceChildren(svg);
  }

  function makeButton(parent, icon, name, act) {
    const button = make("button", "", parent);
    button.type = "button";
    button.setAttribute("aria-label", name);
    button.title = name;
    setIcon(button, icon);
    button.addEventListener("click", act);
    return button;
  }

  /** What a seat gets and may do: its card beside the others. */
  class Seat {
    constructor(parent, recording, seat) {
      this.recording = recording;
      this.seat = seat;
      const { name, kind } = recording.players[seat];
      const card = make("section", `rpax-seat rpax-seat-${seat}`, parent);
      card.setAttribute("aria-label", `seat ${seat}: ${name}`);
      const header = make("header", "", card);
      make("span", "rpax-seat-number", header, `seat ${seat}`);
      const shown = make("span", "rpax-seat-name", header, kind === "person" ? `${name} (person)` : name);
      shown.title = name;
      this.gets = make("span", "rpax-seat-return", header);
      this.does = make("p", "rpax-seat-action", card);
      const count = recording.actionNames[seat].length;
      const list = make("ul", count <= FEW_ACTIONS ? "rpax-chances few" : "rpax-chances", card);
      list.setAttribute("aria-label", `action probabilities of seat ${seat}`);
      const longest = Math.max(...recording.actionNames[seat].map((action) => action.length));
      list.style.setProperty("--name", `${longest + 3}ch`);
      this.rows = recording.actionNames[seat].map((action) => {
        const row = make("li", "rpax-chance", list);
        make("span", "rpax-chance-name", row, action).title = action;
        const bar = make("span", "rpax-chance-bar", row);
        return { row, fill: make("span", "", bar), share: make("span", "rpax-chance-share", row) };
      });
      this.list = list;
    }

    show(t) {
      const { recording, seat } = this;
      const names = recording.actionNames[seat];
      const [did, does] = [t - 1, t].map((step) => (step < 0 ? null : recording.action(seat, step)));
      this.gets.textContent = `return ${rpax.number(recording.returnsSoFar(t)[seat])}`;
      const parts = did === null ? [] : [make("span", "", null, "did "), make("b", "", null, names[did])];
      if (does !== null) parts.push(make("span", "", null, did === null ? "does " : ", does "), make("b", "", null, names[does]));
      if (does !== null) parts.push(make("span", "", null, " next"));
      this.does.replaceChildren(...parts);
      // At the end those of the last move stay.
      const move = does === null ? t - 1 : t;
      const chances = move < 0 ? null : recording.probabilities(seat, move);
      const action = move < 0 ? null : recording.action(seat, move);
      this.list.hidden = chances === null;
      this.rows.forEach(({ row, fill, share }, number) => {
        const chance = chances === null ? 0 : chances[number];
        fill.style.width = `${(100 * chance).toFixed(1)}%`;
        share.textContent = `${Math.round(100 * chance)} %`;
        row.classList.toggle("chosen", number === action);
      });
    }
  }

  /**
   * A recording on the page.
   *
   * Keys, while the focus is inside: Space plays and pauses, ← and → step, Page Up and Page Down leap, Home and End go
   * to the ends, [ and ] to the event before and after.
   */
  rpax.Player = class Player {
    /**
     * @param {HTMLElement} element where it is put; what is there stays.
     * @param {object} recording from `rpax.loadRecording`.
     * @param {{step?: number, onStep?: (t: number) => void, label?: string, policies?: number[][]}} [options] the first
     *   state shown, what is told of every other, a heading, and policies for the margins of a payoff table (by default
     *   the probabilities from which the seats act).
     */
    constructor(element, recording, options = {}) {
      this.recording = recording;
      this.options = options;
      this.step = 0;
      this.playing = false;
      this.speed = 1;
      this._links = new Set();
      this._build(element);
      this.show(options.step || 0);
      rpax.test.players.push(this);
    }

    /** Show the state after step `t`, or the nearest there is. */
    show(t) {
      this._show(t);
      for (const other of this._links) if (other.step !== this.step) other._show(this.step);
    }

    /** Step on by itself, from the start if the end is shown. */
    play() {
      if (this.playing || this.recording.length === 0) return;
      if (this._at() >= this._lastStep()) this.show(0);
      this._setPlaying(true);
      this._due = 0;
      this._time = null;
      this._frame = window.requestAnimationFrame((time) => this._tick(time));
    }

    /** Stay at the state that is shown. */
    pause() {
      for (const other of this._links) if (other.playing) other._stop();
      this._stop();
    }

    /** What is shown: the step and the description from which the canvas is drawn. */
    shown() {
      return { step: this.step, description: this._description };
    }

    /** Remove it from the page. */
    destroy() {
      this.pause();
      for (const other of this._links) other._links.delete(this);
      this._links.clear();
      rpax.forgetScene(this.canvas);
      this.root.remove();
      rpax.test.players = rpax.test.players.filter((player) => player !== this);
    }

    _build(element) {
      const { recording, options } = this;
      const root = (this.root = make("div", "rpax-player", element));
      root.tabIndex = 0;
      root.setAttribute("role", "group");
      root.setAttribute("aria-label", options.label || `Recording of ${recording.environment}`);
      root.addEventListener("keydown", (event) => this._press(event));
      if (options.label) make("p", "rpax-player-label", root, options.label);
      const stage = make("div", "rpax-stage", root);
      this.canvas = make("canvas", "rpax-canvas", stage);
      this.canvas.addEventListener("click", () => this._toggle());
      this._buildScrub(root);
      this._buildControls(root);
      this._happening = make("p", "rpax-happening", root);
      const seats = make("div", "rpax-seats", root);
      this._seats = [0, 1].map((seat) => new Seat(seats, recording, seat));
    }

    _buildControls(root) {
      const controls = make("div", "rpax-controls", root);
      const last = this.recording.length;
      const to = (t) => () => {
        this.pause();
        this.show(t());
      };
      makeButton(controls, "first", "first state (Home)", to(() => 0));
      makeButton(controls, "back", "step back (←)", to(() => this.step - 1));
      this._button = makeButton(controls, "play", "play (Space)", () => this._toggle());
      this._button.className = "rpax-play";
      makeButton(controls, "next", "step on (→)", to(() => this.step + 1));
      makeButton(controls, "last", "last state (End)", to(() => last));
      if (this.recording.events.length) {
        makeButton(controls, "eventBack", "event before ([)", to(() => this._event(-1)));
        makeButton(controls, "eventNext", "event after (])", to(() => this._event(1)));
      }
      const speeds = make("select", "", controls);
      speeds.setAttribute("aria-label", "speed");
      for (const speed of SPEEDS) {
        const option = make("option", "", speeds, `${speed}×`);
        option.value = String(speed);
        option.selected = speed === this.speed;
      }
      speeds.addEventListener("change", () => this.setSpeed(Number(speeds.value)));
      this._speeds = speeds;
      this._stepText = make("span", "rpax-step", controls);
    }

    _buildScrub(root) {
      const { length, events } = this.recording;
      const scrub = make("div", "rpax-scrub", root);
      const range = (this._range = make("input", "", scrub));
      Object.assign(range, { type: "range", min: "0", max: String(length), step: "1" });
      range.setAttribute("aria-label", "step");
      range.disabled = length === 0;
      range.addEventListener("input", () => {
        this.pause();
        this.show(Number(range.value));
      });
      const marks = make("div", "rpax-marks", scrub);
      marks.setAttribute("aria-hidden", "true");
      for (const { step, kind, text } of events) {
        const mark = make("span", `rpax-mark ${MARKS[kind] || ""}`, marks);
        mark.style.left = `${(100 * step) / Math.max(length, 1)}%`;
        mark.title = `${step}: ${text}`;
        mark.addEventListener("click", () => {
          this.pause();
          this.show(step);
        });
      }
    }

    _show(t) {
      const { recording } = this;
      this.step = Math.min(Math.max(Math.round(Number(t)) || 0, 0), recording.length);
      const extras = recording.scene.kind === "table" ? { policies: this._policies() } : {};
      this._description = rpax.drawScene(this.canvas, recording.scene, recording.values(this.step), extras);
      this._range.value = String(this.step);
      this._range.setAttribute("aria-valuetext", `step ${this.step} of ${recording.length}`);
      this._stepText.textContent = `step ${this.step} of ${recording.length}`;
      // Read aloud where somebody steps, not while it plays.
      this._happening.setAttribute("aria-live", this.playing ? "off" : "polite");
      const now = recording.events.filter(({ step }) => step === this.step);
      this._happening.textContent = now
        .map(({ seat, text }) => (seat === null ? text : `seat ${seat}: ${text}`))
        .join(" · ");
      for (const seat of this._seats) seat.show(this.step);
      if (this.options.onStep) this.options.onStep(this.step);
    }

    /** Policies for the margins of a table: those given, else those of the move that is shown or comes. */
    _policies() {
      if (this.options.policies) return this.options.policies;
      const move = Math.min(this.step, this.recording.length - 1);
      return [0, 1].map((seat) => (move < 0 ? null : this.recording.probabilities(seat, move)));
    }

    /** How fast it plays, 1 for five steps a second; linked players too. */
    setSpeed(speed) {
      for (const player of [this, ...this._links]) {
        player.speed = speed;
        player._speeds.value = String(speed);
      }
    }

    _toggle() {
      if (this.playing || [...this._links].some((other) => other.playing)) this.pause();
      else this.play();
    }

    _setPlaying(playing) {
      this.playing = playing;
      for (const player of [this, ...this._links]) {
        const name = playing ? "pause (Space)" : "play (Space)";
        player._button.setAttribute("aria-label", name);
        player._button.title = name;
        setIcon(player._button, playing ? "pause" : "play");
      }
    }

    _stop() {
      window.cancelAnimationFrame(this._frame);
      if (this.playing) this._setPlaying(false);
    }

    /** The last step of the longest of the linked recordings. */
    _lastStep() {
      return Math.max(this.recording.length, ...[...this._links].map((other) => other.recording.length));
    }

    _tick(time) {
      if (!this.playing) return;
      const passed = this._time === null ? 0 : Math.min(time - this._time, 250);
      this._time = time;
      this._due += (passed / 1000) * STEPS_A_SECOND * this.speed;
      const steps = Math.floor(this._due);
      if (steps > 0) {
        this._due -= steps;
        this._advance(steps);
      }
      if (this._at() >= this._lastStep()) this._stop();
      else this._frame = window.requestAnimationFrame((next) => this._tick(next));
    }

    /** The furthest step that is shown by this player or a linked one. */
    _at() {
      return Math.max(this.step, ...[...this._links].map((other) => other.step));
    }

    _advance(steps) {
      const to = Math.min(this._at() + steps, this._lastStep());
      for (const player of [this, ...this._links]) player._show(to);
    }

    /** The nearest step with an event before (−1) or after (1) the one that is shown. */
    _event(direction) {
      const steps = this.recording.events.map(({ step }) => step);
      const beyond = steps.filter((step) => direction * (step - this.step) > 0);
      if (!beyond.length) return this.step;
      return direction > 0 ? Math.min(...beyond) : Math.max(...beyond);
    }

    _press(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { tagName } = event.target;
      if (tagName === "SELECT" || (event.key === " " && tagName === "BUTTON")) return;
      const steps = {
        ArrowLeft: () => this.step - 1,
        ArrowRight: () => this.step + 1,
        PageUp: () => this.step - LEAP,
        PageDown: () => this.step + LEAP,
        Home: () => 0,
        End: () => this.recording.length,
        "[": () => this._event(-1),
        "]": () => this._event(1),
      };
      if (event.key === " ") this._toggle();
      else if (Object.hasOwn(steps, event.key)) {
        this.pause();
        this.show(steps[event.key]());
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }
  };

  /**
   * Let two players show the same step, play and pause together.
   * @returns {() => void} ends that.
   */
  rpax.linkPlayers = function linkPlayers(first, second) {
    first.pause();
    second.pause();
    first._links.add(second);
    second._links.add(first);
    second._show(first.step);
    return () => {
      first.pause();
      second.pause();
      first._links.delete(second);
      second._links.delete(first);
    };
  };

  /**
   * Read a recording and play it, or say what is wrong with it.
   * @param {HTMLElement} element where.
   * @param {object} document the recording, parsed.
   * @param {object} [options] of the player.
   * @returns {Promise<object|null>} the player.
   */
  rpax.showRecording = async function showRecording(element, document, options) {
    try {
      return new rpax.Player(element, await rpax.loadRecording(document), options);
    } catch (error) {
      make("p", "rpax-problem", element, error.message).setAttribute("role", "alert");
      return null;
    }
  };
})();
