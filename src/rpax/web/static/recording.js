/* Reading recordings: format 1 of `.rpax.json`, see docs/recordings.md. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  const MOST_NUMBERS = 8e6;
  const MOST_STEPS = 10000;
  const MOST_ACTIONS = 4096;
  const SIZES = { u8: 1, u16: 2 };

  /** Renderers by kind of scene; each file of one adds its own. */
  rpax.renderers = rpax.renderers || {};

  /** What is wrong with a document. */
  class NoRecording extends Error {}

  function check(holds, problem) {
    if (!holds) throw new NoRecording(`This is no recording that can be shown: ${problem}.`);
  }

  const isWhole = (value, most) => Number.isInteger(value) && value >= 0 && value <= most;
  const isPair = (value) => Array.isArray(value) && value.length === 2;
  const isText = (value) => typeof value === "string";

  /** Exactly `expected` bytes from raw DEFLATE in base64; never more are inflated than one piece beyond. */
  async function inflate(base64, expected) {
    const packed = Uint8Array.from(window.atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    const found = new Uint8Array(expected);
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (length + value.length > expected) {
        reader.cancel().catch(() => {});
        check(false, "it holds more numbers than it says");
      }
      found.set(value, length);
      length += value.length;
    }
    check(length === expected, "it holds fewer numbers than it says");
    return found;
  }

  /** The numbers [rows, time] that were packed, in one array, row after row. */
  async function unpack(packed, rows, time, differences) {
    check(packed && isText(packed.data) && packed.type in SIZES, "numbers are packed in an unknown way");
    const size = SIZES[packed.type];
    let bytes;
    try {
      bytes = await inflate(packed.data, rows * time * size);
    } catch (error) {
      if (error instanceof NoRecording) throw error;
      check(false, "its numbers are damaged");
    }
    const found = new Int32Array(rows * time);
    const mask = size === 1 ? 0xff : 0xffff;
    for (let row = 0; row < rows; row += 1) {
      let value = 0;
      for (let t = 0; t < time; t += 1) {
        const at = row * time + t;
        const stored = size === 1 ? bytes[at] : bytes[2 * at] | (bytes[2 * at + 1] << 8);
        value = differences ? (value + stored) & mask : stored;
        found[at] = value;
      }
    }
    return found;
  }

  /** An episode that can be shown; made by `rpax.loadRecording`. */
  class Recording {
    constructor(document, parts) {
      this.length = document.length;
      this.scene = document.scene;
      this.environment = document.environment.name;
      this.players = document.players.map(({ name, kind }) => ({ name, kind }));
      this.actionNames = document.action_names;
      this.greedy = document.greedy;
      this.returns = document.returns;
      this.events = document.events.map(([step, seat, kind, text]) => ({ step, seat, kind, text }));
      this._fields = document.frames.fields;
      this._parts = parts;
      this._soFar = [new Float64Array(this.length + 1), new Float64Array(this.length + 1)];
      this._rewards = [new Float64Array(this.length + 1), new Float64Array(this.length + 1)];
      for (const [step, ...both] of document.rewards) {
        both.forEach((reward, seat) => (this._rewards[seat][step] = reward));
      }
      for (const seat of [0, 1]) {
        for (let t = 1; t <= this.length; t += 1) {
          this._soFar[seat][t] = this._soFar[seat][t - 1] + this._rewards[seat][t];
        }
      }
    }

    /** The numbers of the state after step `t`. @returns {Int32Array} */
    values(t) {
      const found = new Int32Array(this._fields);
      for (let field = 0; field < this._fields; field += 1) {
        found[field] = this._parts.frames[field * (this.length + 1) + t];
      }
      return found;
    }

    /** What a seat does in the state after step `t`; `null` at the end. */
    action(seat, t) {
      return t < this.length ? this._parts.actions[seat][t] : null;
    }

    /** What both seats got in the step that led to state `t`. */
    rewards(t) {
      return [this._rewards[0][t], this._rewards[1][t]];
    }

    /** What both seats got up to state `t`. */
    returnsSoFar(t) {
      return [this._soFar[0][t], this._soFar[1][t]];
    }

    /** With what probabilities a seat acts in state `t`; `null` where that is not known. @returns {number[]|null} */
    probabilities(seat, t) {
      const all = this._parts.probabilities[seat];
      if (all === null || t >= this.length) return null;
      return this.actionNames[seat].map((_, action) => all[action * this.length + t] / 255);
    }

    /** What is shown in state `t`, as plain data. */
    describe(t, extras) {
      return rpax.renderers[this.scene.kind].describe(this.scene, this.values(t), extras || {});
    }
  }

  function checkShape(found) {
    check(found && typeof found === "object" && !Array.isArray(found), "it is no document");
    check(found.format === 1, "its format is not 1");
    check(isWhole(found.length, MOST_STEPS), "its length is no number of steps");
    check(found.environment && isText(found.environment.name), "it does not say where it was played");
    const named = (player) => player && isText(player.name) && ["agent", "person"].includes(player.kind);
    check(isPair(found.players) && found.players.every(named), "its players are not two");
    const names = (each) => Array.isArray(each) && each.length > 0 && each.length <= MOST_ACTIONS && each.every(isText);
    check(isPair(found.action_names) && found.action_names.every(names), "its actions have no names");
    check(isPair(found.actions) && isPair(found.probabilities) && isPair(found.returns), "something is not there twice");
    const fields = found.frames && found.frames.fields;
    check(isWhole(fields, 4096) && fields * (found.length + 1) <= MOST_NUMBERS, "its states have no allowed size");
    check(found.scene && Object.hasOwn(rpax.renderers, found.scene.kind), "nothing here draws its kind of scene");
    const paid = (entry) => Array.isArray(entry) && entry.length === 3 && entry.every(Number.isFinite);
    const rewarded = (entry) => paid(entry) && isWhole(entry[0], found.length) && entry[0] > 0;
    check(Array.isArray(found.rewards) && found.rewards.every(rewarded), "its rewards are damaged");
    check(found.returns.every(Number.isFinite), "its returns are no numbers");
    const happened = (entry) =>
      Array.isArray(entry) &&
      entry.length === 4 &&
      isWhole(entry[0], found.length) &&
      [null, 0, 1].includes(entry[1]) &&
      isText(entry[2]) &&
      isText(entry[3]);
    check(Array.isArray(found.events) && found.events.every(happened), "its events are damaged");
  }

  function checkScene(recording) {
    const renderer = rpax.renderers[recording.scene.kind];
    let fits;
    try {
      fits = renderer.fields(recording.scene) === recording._fields && renderer.aspect(recording.scene) > 0;
      for (let t = 0; fits && t <= recording.length; t += 1) recording.describe(t);
    } catch {
      fits = false;
    }
    check(fits, "its states do not fit its scene");
  }

  /**
   * Read a recording.
   * @param {object} found the document, parsed.
   * @returns {Promise<Recording>} rejected with a message for people where it is none.
   */
  rpax.loadRecording = async function loadRecording(found) {
    checkShape(found);
    const length = found.length;
    const chances = (seat) => {
      const packed = found.probabilities[seat];
      return packed === null ? null : unpack(packed, found.action_names[seat].length, length, false);
    };
    const [frames, first, second, chancesFirst, chancesSecond] = await Promise.all([
      unpack(found.frames.data, found.frames.fields, length + 1, true),
      unpack(found.actions[0], 1, length, true),
      unpack(found.actions[1], 1, length, true),
      chances(0),
      chances(1),
    ]);
    const known = (actions, seat) => actions.every((action) => action < found.action_names[seat].length);
    check([first, second].every(known), "an action is unknown");
    const recording = new Recording(found, {
      frames,
      actions: [first, second],
      probabilities: [chancesFirst, chancesSecond],
    });
    checkScene(recording);
    return recording;
  };
})();
