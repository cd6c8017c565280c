/* The page on which people play: what is going on, who has what, and the messages to and from the server. */
(() => {
  "use strict";
  const rpax = window.rpax;
  const { element, icon } = rpax;
  /** Between attempts to connect again, and without any message of a running game until it counts as lost; in ms. */
  const [RETRY, SILENCE] = [2000, 8000];
  /** For how long the end of an episode is seen before the result, in ms. */
  const LOOK = 900;
  const REFUSED = [1008, 1013];

  const $ = (id) => document.getElementById(id);
  const { shortReturn } = rpax;
  const signed = (value) => (value > 0 ? `+${shortReturn(value)}` : shortReturn(value));

  class Play {
    constructor() {
      this.phase = "connecting";
      this.told = "";
      this.broken = false;
      this.welcome = this.frame = this.scene = this.shownNow = null;
      this.number = 0;
      this.pressed = new Map();
      this.latencies = [];
      this.timers = new Set();
      this.stage = $("stage");
      this.controls = new rpax.Controls($("pad"), { act: (action, time) => this.act(action, time), active: () => this.active });
      this.hanabi = new rpax.HanabiBoard($("hanabi"), (action, time) => this.act(action, time));
      $("theme").append(icon("sun"));
      $("theme").addEventListener("click", () => rpax.swapTheme());
      window.addEventListener("keydown", (event) => this.down(event));
      document.addEventListener("visibilitychange", () => {
        if (document.hidden && this.welcome && this.welcome.rate && this.running) this.pause(true);
      });
      window.setInterval(() => this.listen(), 500);
      this.connect();
    }

    /** Whether the person can act. */
    get active() {
      return this.phase === "playing" && this.frame !== null && !this.frame.over;
    }

    get running() {
      return this.phase === "playing" || this.phase === "countdown";
    }

    connect() {
      const scheme = window.location.protocol === "https:" ? "wss" : "ws";
      const socket = (this.socket = new WebSocket(`${scheme}://${window.location.host}/play/socket`));
      socket.addEventListener("message", (event) => {
        if (socket === this.socket) this.receive(JSON.parse(event.data));
      });
      socket.addEventListener("close", (event) => {
        if (socket === this.socket) this.lost(event.code, event.reason);
      });
    }

    send(message) {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    }

    /** Notices that a running game has fallen silent, which no event tells of where a computer or a network stops. */
    listen() {
      const silent = window.performance.now() - this.heard > SILENCE;
      if (silent && this.phase === "playing" && this.welcome.rate) {
        this.socket.close();
        this.lost(1006, "");
      }
    }

    receive(message) {
      this.heard = window.performance.now();
      this[`on_${message.type}`](message);
    }

    on_welcome(message) {
      const again = this.phase === "lost";
      this.welcome = message;
      [this.partner, this.seat] = [message.partner, message.seat];
      $("game-name").textContent = message.environment;
      document.title = `${message.environment} · rpax play`;
      this.setPhase("ready");
      document.body.dataset.rate = String(message.rate);
      this.told = again && this.broken ? "The connection is back. The episode that was in progress is not recorded." : "";
      this.broken = false;
      this.showProgress(message);
      this.showSeats();
      this.showControls();
      this.showTools();
      this.overlay();
    }

    on_begin(message) {
      this.scene = message.scene;
      this.frame = null;
      [this.partner, this.seat, this.names] = [message.partner, message.seat, message.names];
      this.showSeats();
      this.showControls();
      this.count(message.countdown);
    }

    on_frame(frame) {
      const before = this.frame;
      this.frame = frame;
      if (frame.scene) this.scene = frame.scene;
      this.draw();
      this.answered(frame.answers);
      this.showReturns(before);
      this.showClock();
      this.controls.update(frame.legal, frame.advice, this.active);
      this.controls.stepped();
    }

    on_paused() {
      this.setPhase("paused");
      this.overlay();
    }

    on_go(message) {
      this.count(message.countdown);
    }

    on_end(message) {
      this.ending = message;
      this.stopTimers();
      this.setPhase("ended");
      this.showProgress(message);
      this.say(`The end. ${this.returnsInWords(message.returns)}`);
      // The last state is seen first.
      this.later(LOOK, () => this.overlay());
    }

    on_error(message) {
      this.told = message.text;
      if (message.over) {
        this.setPhase("ready");
        this.overlay();
      } else this.say(message.text);
    }

    lost(code, reason) {
      this.stopTimers();
      this.broken = this.broken || this.running || this.phase === "paused";
      const refused = REFUSED.includes(code);
      if (this.phase === "ended" && this.ending.all_played) {
        this.overlay();
        return;
      }
      this.told = refused ? reason : "";
      this.setPhase(refused ? "refused" : "lost");
      this.overlay();
      if (!refused) this.later(RETRY, () => this.connect());
    }

    setPhase(phase) {
      this.phase = phase;
      document.body.dataset.phase = phase;
      if (!this.frame) return;
      this.controls.update(this.frame.legal, this.frame.advice, this.active);
      if (this.isHanabi) this.draw();
    }

    later(milliseconds, call) {
      const timer = window.setTimeout(() => {
        this.timers.delete(timer);
        call();
      }, milliseconds);
      this.timers.add(timer);
    }

    stopTimers() {
      for (const timer of this.timers) window.clearTimeout(timer);
      this.timers.clear();
    }

    /** 3, 2, 1; then the person can act. */
    count(seconds) {
      this.stopTimers();
      this.setPhase(seconds > 0 ? "countdown" : "playing");
      this.stage.focus({ preventScroll: true });
      const whole = Math.ceil(seconds);
      for (let left = whole; left > 0; left -= 1) {
        this.later((seconds - left) * 1000, () => {
          this.overlay(element("p", { class: "count", text: String(left) }), element("p", { class: "hint", text: this.role() }));
        });
      }
      this.later(seconds * 1000, () => {
        this.heard = window.performance.now();
        this.setPhase("playing");
        this.overlay();
      });
      this.showTools();
    }

    role() {
      return `You are ${rpax.SEATS[this.seat]}`;
    }

    start(partner = this.partner, seat = this.seat) {
      const seats = this.welcome.partners[partner].seats;
      const free = seats.includes(seat) ? seat : seats[0];
      this.stopTimers();
      this.told = "";
      this.setPhase("starting");
      this.overlay();
      this.send({ type: "start", partner, seat: free });
    }

    pause(paused) {
      this.stopTimers();
      this.send({ type: "pause", paused });
    }

    act(action, time) {
      if (!this.active || !this.frame.legal[action]) return;
      this.number += 1;
      this.pressed.set(this.number, time);
      this.send({ type: "act", action, step: this.frame.step, number: this.number });
    }

    /** Measure from a key to the next frame of the screen that shows what it did. */
    answered(number) {
      if (number === null || !this.pressed.has(number)) return;
      const since = this.pressed.get(number);
      for (const older of [...this.pressed.keys()]) if (older <= number) this.pressed.delete(older);
      window.requestAnimationFrame(() => this.latencies.push(window.performance.now() - since));
    }

    down(event) {
      if (event.code !== "Escape" || event.repeat) return;
      if (this.running) this.pause(true);
      else if (this.phase === "paused") this.pause(false);
    }

    get isHanabi() {
      return this.scene !== null && this.scene.kind === "hanabi";
    }

    draw() {
      const { scene, frame } = this;
      $("hanabi").hidden = !this.isHanabi;
      $("canvas").hidden = this.isHanabi;
      this.stage.dataset.kind = scene.kind;
      if (this.isHanabi) {
        const about = { seat: this.seat, partner: this.names[1 - this.seat], legal: frame.legal, advice: frame.advice };
        // Whose only move is to wait has nothing to choose.
        const active = this.active && frame.legal.filter(Boolean).length > 1;
        this.shownNow = this.hanabi.show(scene, frame.values, { ...about, active, over: frame.over });
      } else this.shownNow = rpax.drawScene($("canvas"), scene, frame.values);
    }

    showProgress({ played, episodes }) {
      $("progress").textContent = episodes === null ? "" : `episode ${Math.min(played + 1, episodes)} of ${episodes}`;
    }

    showSeats() {
      const { partners, label } = this.welcome;
      for (const seat of [0, 1]) {
        const mine = seat === this.seat;
        const name = mine ? "You" : partners[this.partner].name;
        const who = element("p", { class: "who" }, element("i", { class: "dot" }), element("b", { text: name }));
        const small = mine && label !== "person" ? `${label} · ${rpax.SEATS[seat]}` : rpax.SEATS[seat];
        const about = element("p", { class: "about", text: `seat ${seat} · ${small}` });
        const value = element("p", { class: "return", id: `return-${seat}`, text: "0" });
        $(`seat-${seat}`).replaceChildren(who, about, value, element("p", { class: "did", id: `did-${seat}`, text: " " }));
        $(`seat-${seat}`).classList.toggle("mine", mine);
        $(`seat-${seat}`).setAttribute("aria-label", mine ? `You, seat ${seat}` : `Partner, seat ${seat}`);
      }
    }

    showReturns(before) {
      const { frame } = this;
      for (const seat of [0, 1]) {
        $(`return-${seat}`).textContent = shortReturn(frame.returns[seat]);
        const did = frame.actions === null ? " " : this.welcome.actions[seat][frame.actions[seat]];
        $(`did-${seat}`).textContent = did;
        if (before !== null && frame.rewards[seat]) this.float(seat, signed(frame.rewards[seat]));
      }
      if (frame.rewards.some(Boolean)) this.say(this.returnsInWords(frame.returns));
    }

    float(seat, text) {
      const made = element("span", { class: text.startsWith("−") ? "float bad" : "float", text, "aria-hidden": "true" });
      window.setTimeout(() => made.remove(), 1500);
      $(`seat-${seat}`).append(made);
    }

    returnsInWords(returns) {
      const own = returns[this.seat];
      const other = returns[1 - this.seat];
      if (own === other) return `You both have ${shortReturn(own)}.`;
      return `You have ${shortReturn(own)}, ${this.welcome.partners[this.partner].name} has ${shortReturn(other)}.`;
    }

    showClock() {
      const { rate, horizon } = this.welcome;
      const { step } = this.frame;
      const left = Math.max(horizon - step, 0);
      if (rate) {
        const seconds = Math.ceil(left / rate);
        $("time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
        $("steps").textContent = `step ${step} of ${horizon}`;
      } else {
        $("time").textContent = String(step);
        $("steps").textContent = step === 1 ? "step" : "steps";
      }
      $("track").style.width = rate ? `${(100 * left) / horizon}%` : "0";
    }

    showControls() {
      const names = this.welcome.actions[this.seat];
      const isHanabi = this.isHanabi || this.welcome.environment.startsWith("hanabi/");
      const repeats = this.welcome.rate > 0;
      this.controls.show(isHanabi ? [] : names, this.seat, repeats, !repeats);
      $("pad").hidden = isHanabi;
      const keys = this.controls.legend().flatMap(({ name, written }) => [element("kbd", { text: written }), ` ${name}  `]);
      const hanabi = [element("kbd", { text: "1" }), "–", element("kbd", { text: "5" }), " choose your card  "];
      $("keys").replaceChildren(...(isHanabi ? hanabi : keys), element("kbd", { text: "Esc" }), " pause");
    }

    showTools() {
      const make = (name, text, call) =>
        element("button", { type: "button", id: `tool-${name}`, onclick: () => { call(); this.stage.focus(); } }, icon(name), element("span", { text }));
      const { partners } = this.welcome;
      const tools = [make("pause", "Pause", () => this.pause(this.phase !== "paused")), make("again", "Restart", () => this.start())];
      if (partners[this.partner].seats.length > 1) tools.push(make("swap", "Swap seats", () => this.start(this.partner, 1 - this.seat)));
      if (partners.length > 1) tools.push(rpax.partnerChoice(this, "tool-partner", (partner) => this.start(partner)));
      $("tools").replaceChildren(...tools);
    }

    say(text) {
      $("news").textContent = text;
    }

    /** What lies over the board in this phase, or what is given. */
    overlay(...given) {
      const parts = given.length ? given : rpax.overlayOf(this);
      const place = $("overlay");
      place.hidden = parts.length === 0;
      place.className = this.phase;
      const card = element("div", { class: "card-over" }, ...parts);
      // Numbers that count down are no dialog.
      if (!given.length && parts.length) {
        card.setAttribute("role", "dialog");
        card.setAttribute("aria-label", parts[0].textContent);
      }
      place.replaceChildren(...(parts.length ? [card] : []));
      const first = place.querySelector("button.first");
      if (first) first.focus({ preventScroll: true });
    }

    connectAgain() {
      this.stopTimers();
      this.setPhase("lost");
      this.connect();
    }

    /** Whom to play with, and where to sit, before an episode begins. */
    choose(partner, seat) {
      const { seats } = this.welcome.partners[partner];
      this.partner = partner;
      this.seat = seats.includes(seat) ? seat : seats[0];
      this.showSeats();
      this.showControls();
      this.overlay();
    }
  }

  const play = new Play();
  rpax.test = rpax.test || { players: [] };
  /** What the page shows, for tests and measurements. */
  rpax.test.play = {
    phase: () => play.phase,
    frame: () => play.frame,
    shown: () => ({ step: play.frame && play.frame.step, description: play.shownNow }),
    latencies: play.latencies,
    drop: () => play.socket.close(),
  };
})();
