/* Which keys and buttons stand for which actions, and what is held down. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  const { element, icon } = rpax;

  /** What actions are called, with the keys for them, how these are written, the place on the pad and the icon. */
  const KNOWN = {
    up: { codes: ["ArrowUp", "KeyW"], written: "↑", place: "up", icon: "up" },
    down: { codes: ["ArrowDown", "KeyS"], written: "↓", place: "down", icon: "down" },
    left: { codes: ["ArrowLeft", "KeyA"], written: "←", place: "left", icon: "left" },
    right: { codes: ["ArrowRight", "KeyD"], written: "→", place: "right", icon: "right" },
    forward: { codes: ["ArrowUp", "KeyW"], written: "↑", place: "up", icon: "up" },
    "turn left": { codes: ["ArrowLeft", "KeyA"], written: "←", place: "left", icon: "turnleft" },
    "turn right": { codes: ["ArrowRight", "KeyD"], written: "→", place: "right", icon: "turnright" },
    interact: { codes: ["Space", "KeyE"], written: "Space", place: "main", icon: null },
    stay: { codes: ["Period"], written: ".", place: "middle", icon: "wait" },
    wait: { codes: ["Period"], written: ".", place: "middle", icon: "wait" },
    noop: { codes: ["Period"], written: ".", place: "middle", icon: "wait" },
  };
  /** For how long a key is held until it acts again, in milliseconds; shorter is a tap. */
  const HELD = 180;

  /**
   * Keys and places for actions.
   * @param {string[]} names of the actions, in order.
   * @returns {{action: number, name: string, codes: string[], written: string, place: string, icon: ?string}[]}
   */
  rpax.controlsOf = function controlsOf(names) {
    const known = names.every((name) => name.toLowerCase() in KNOWN);
    return names.map((name, action) => {
      if (known) return { action, name, ...KNOWN[name.toLowerCase()] };
      const digit = action < 9 ? String(action + 1) : null;
      const codes = digit === null ? [] : [`Digit${digit}`, `Numpad${digit}`];
      return { action, name, codes, written: digit === null ? "" : digit, place: "list", icon: null };
    });
  };

  /** Whether keys belong to what has the focus: buttons, lists and links have keys of their own. */
  const hasOwnKeys = (target) => target instanceof Element && target.closest("button, select, input, a, summary") !== null;

  /** Watches keys and the pad's buttons; calls `act(action, time)` for every press, and for what stays held. */
  rpax.Controls = class Controls {
    /**
     * @param {HTMLElement} pad where the buttons go.
     * @param {{act: (action: number, time: number) => void, active: () => boolean}} owner
     */
    constructor(pad, owner) {
      this.pad = pad;
      this.owner = owner;
      this.controls = [];
      this.buttons = [];
      this.held = new Map();
      window.addEventListener("keydown", (event) => this.down(event));
      window.addEventListener("keyup", (event) => this.held.delete(event.code));
      window.addEventListener("blur", () => this.held.clear());
    }

    /**
     * Show buttons for actions.
     * @param {string[]} names of the actions.
     * @param {number} seat whose colour they have.
     * @param {boolean} repeats whether what is held goes on to act.
     * @param {boolean} waits whether doing nothing needs a button.
     */
    show(names, seat, repeats, waits) {
      this.held.clear();
      this.repeats = repeats;
      this.controls = rpax.controlsOf(names).filter(({ place }) => place !== "middle" || waits);
      this.buttons = this.controls.map((control) => this.button(control));
      const isList = this.controls.some(({ place }) => place === "list");
      this.pad.className = isList ? "pad pad-list" : "pad";
      this.pad.dataset.seat = String(seat);
      this.pad.replaceChildren(...this.buttons);
    }

    button(control) {
      const { action, name, written } = control;
      const props = { type: "button", class: "key", "data-place": control.place, "data-action": action };
      const face = control.icon ? icon(control.icon) : element("span", { class: "key-name", text: name });
      const made = element("button", { ...props, "aria-label": name, title: written ? `${name} (${written})` : name }, face);
      if (written) made.append(element("kbd", { text: written, "aria-hidden": "true" }));
      made.append(element("span", { class: "advice", "aria-hidden": "true" }));
      made.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        // The page keeps its focus, so that keys go on to work.
        event.preventDefault();
        made.setPointerCapture(event.pointerId);
        this.press(`pointer ${event.pointerId}`, action, event.timeStamp);
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        made.addEventListener(end, (event) => this.held.delete(`pointer ${event.pointerId}`));
      }
      made.addEventListener("contextmenu", (event) => event.preventDefault());
      // By keyboard or a screen reader: a click without a pointer.
      made.addEventListener("click", (event) => {
        if (event.detail === 0 && this.owner.active()) this.owner.act(action, event.timeStamp);
      });
      return made;
    }

    down(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.owner.active()) return;
      if (hasOwnKeys(event.target) && ["Space", "Enter", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].includes(event.code)) {
        if (!event.target.closest(".key") || event.code === "Space" || event.code === "Enter") return;
      }
      const control = this.controls.find(({ codes }) => codes.includes(event.code));
      if (!control) return;
      event.preventDefault();
      if (!event.repeat) this.press(event.code, control.action, event.timeStamp);
    }

    press(source, action, time) {
      if (!this.owner.active()) return;
      const button = this.buttons[this.controls.findIndex((control) => control.action === action)];
      if (button && button.disabled) return;
      this.held.delete(source);
      this.held.set(source, { action, since: window.performance.now() });
      if (button) rpax.flash(button);
      this.owner.act(action, time);
    }

    /** A step was made: what is held acts again, the latest key of several. */
    stepped() {
      if (!this.repeats || !this.owner.active()) return;
      const latest = [...this.held.values()].pop();
      const now = window.performance.now();
      if (latest && now - latest.since >= HELD) this.owner.act(latest.action, now);
    }

    /**
     * What may be done now, and what an adviser would do.
     * @param {boolean[]} legal
     * @param {?number[]} advice probabilities.
     * @param {boolean} active whether anything can be done at all.
     */
    update(legal, advice, active) {
      this.buttons.forEach((button, i) => {
        const { action } = this.controls[i];
        button.disabled = !active || !legal[action];
        const share = advice ? advice[action] : 0;
        button.style.setProperty("--advice", String(share));
        button.classList.toggle("advised", advice !== null && share > 0.005);
        const told = button.querySelector(".advice");
        told.textContent = advice === null ? "" : `${Math.round(share * 100)} %`;
      });
    }

    /** The keys in words. */
    legend() {
      return this.controls.filter(({ written }) => written).map(({ name, written }) => ({ name, written }));
    }
  };

  /** Show shortly that a button was pressed. */
  rpax.flash = function flash(button) {
    button.classList.remove("pressed");
    // Begins the animation again.
    void button.offsetWidth;
    button.classList.add("pressed");
  };
})();
