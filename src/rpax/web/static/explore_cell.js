/** What is known of a chosen cell: in words, and as its best, median and worst episode; two cells side by side. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const PICKS = [
    ["best", "Best"],
    ["median", "Median"],
    ["worst", "Worst"],
  ];

  rpax.cellPanel = function (line, grid, asked) {
    if (!asked.cell) {
      return h(
        "p",
        { key: "hint", class: "hint muted" },
        "Choose a cell: click it, or go there with the arrow keys and press Enter. Shift shows it beside the chosen one.",
      );
    }
    const same = JSON.stringify(asked.cell) === JSON.stringify(asked.other);
    const other = same ? null : asked.other;
    return [
      h(
        "div",
        { key: "tools", class: "tools" },
        rpax.choice(
          "which episode",
          PICKS.filter(([pick]) => rpax.data.overview.picks.includes(pick)),
          asked.pick,
          (pick) => rpax.go({ pick, step: null }),
        ),
        other
          ? h("button", { type: "button", onclick: () => rpax.go({ with: null }) }, "End comparison")
          : h(
              "button",
              { type: "button", "aria-pressed": String(asked.comparing), onclick: () => compare(asked) },
              asked.comparing ? "Choose the other cell…" : "Compare",
            ),
        h(
          "button",
          { type: "button", onclick: () => rpax.go({ row: null, column: null, with: null, step: null }) },
          "Close",
        ),
      ),
      h(
        "div",
        { key: "cells", class: other ? "pair" : "" },
        one(line, grid, asked, asked.cell, true),
        other ? one(line, grid, asked, other, false) : null,
      ),
    ];
  };

  function compare(asked) {
    rpax.comparing = asked.comparing ? null : location.hash.split("?")[0];
    rpax.redraw();
  }

  function one(line, grid, asked, [row, column], main) {
    const agents = [grid.agents[row], grid.agents[column]];
    const { found } = rpax.data.want(`cell/${line.id}/${row}/${column}`, line.version);
    const played = grid.values.both.mean[row][column] !== null;
    const path = `recording/${line.id}/${row}/${column}/${asked.pick}`;
    return h(
      "article",
      {
        key: main ? "main" : "other",
        class: main ? "one" : "one other",
        "aria-label": `${agents[0].called} with ${agents[1].called}`,
      },
      h("h2", { key: "title" }, seated(agents[0], 0), " with ", seated(agents[1], 1)),
      played
        ? rpax.recordingPanel({
            key: path,
            path,
            mark: agents.map((agent) => agent.mark),
            label: `${agents[0].called} with ${agents[1].called}, ${asked.pick} episode`,
            step: main ? asked.step : null,
            main,
          })
        : h("p", { key: "state", class: "muted" }, "This pair has not played yet, or cannot."),
      found && found.why.length
        ? h(
            "div",
            { key: "why", class: "why" },
            h("h3", null, "What the numbers say"),
            h(
              "ul",
              null,
              found.why.map((sentence) => h("li", { key: sentence }, sentence)),
            ),
          )
        : null,
      h("p", { key: "runs", class: "muted small" }, "Runs: ", runs(agents)),
      agents[0].command
        ? h("p", { key: "play", class: "muted small" }, "Take a seat yourself: ", h("code", null, agents[0].command))
        : null,
    );
  }

  const seated = (agent, seat) =>
    h("span", { key: seat, class: `seat${seat}`, title: agent.name }, agent.called);

  function runs(agents) {
    const names = [...new Set(agents.map((agent) => agent.run))];
    return names.map((name, place) => {
      const run = rpax.data.overview.runs.find((each) => each.name === name);
      return [place ? ", " : "", run ? h("a", { key: name, href: `#/run/${run.id}` }, name) : name];
    });
  }

  /**
   * An episode, once its recording has come.
   * @param {{path: string, mark: *, label: string, step: ?string, main: boolean, whole: boolean}} about - `mark`: asked
   *     for again when it changes; `main`: the address follows its step, and the other one follows it; `whole`: the
   *     document is a recording itself.
   */
  rpax.recordingPanel = function (about) {
    const { found, error } = rpax.data.want(about.path, about.mark || 0);
    const document = found && (about.whole ? found : found.recording);
    if (!document) {
      return h(
        "p",
        { key: "recording", class: error ? "warn state" : "muted state", role: "status" },
        error || "Episodes are being played…",
      );
    }
    return h(
      "div",
      { key: "recording " + about.path, class: "recording" },
      about.whole ? null : strip(found),
      h("div", {
        key: "player",
        island: Playing,
        spec: { document, step: about.step, label: about.label, main: about.main },
      }),
    );
  };

  /** The mean returns of all candidates, the one that is shown marked. */
  function strip(found) {
    const { values, place, pick } = found;
    const [low, high] = [values[0], values[values.length - 1]];
    const x = (value) => 4 + (high > low ? ((value - low) / (high - low)) * 152 : 76);
    return h(
      "p",
      { key: "strip", class: "strip muted small" },
      `The ${pick} of ${values.length} episodes, mean return ${rpax.short(values[place])} `,
      h(
        "svg",
        { width: 160, height: 14, viewBox: "0 0 160 14", "aria-hidden": "true" },
        values.map((value, at) =>
          h("circle", {
            key: at,
            class: at === place ? "own" : "",
            cx: x(value).toFixed(1),
            cy: 7,
            r: at === place ? 4.5 : 3,
          }),
        ),
      ),
      ` ${rpax.short(low)} to ${rpax.short(high)}`,
    );
  }

  const playing = { main: null, other: null };

  /** A player that comes when its recording is unpacked. */
  class Playing {
    constructor(node) {
      this.node = node;
      this.player = null;
    }

    update(spec) {
      const changed = !this.spec || this.spec.document !== spec.document;
      this.spec = spec;
      if (changed) this.open(spec);
      else if (
        this.player &&
        spec.main &&
        spec.step !== undefined &&
        spec.step !== null &&
        spec.step !== rpax.writtenStep
      ) {
        this.player.show(Number(spec.step));
      }
    }

    async open(spec) {
      this.close();
      try {
        const recording = await rpax.loadRecording(spec.document);
        if (this.spec !== spec && this.spec.document !== spec.document) return;
        if (!this.node.isConnected) return;
        const step = Math.max(0, Math.min(recording.length, Number(spec.step) || 0));
        this.player = new rpax.Player(this.node, recording, {
          step,
          label: spec.label,
          onStep: (at) => this.follow(at),
        });
        playing[spec.main ? "main" : "other"] = this.player;
        if (playing.main && playing.other) rpax.linkPlayers(playing.main, playing.other);
      } catch (error) {
        this.node.textContent = `The recording cannot be shown: ${error.message}`;
      }
    }

    /** Write the step into the address once it stays. */
    follow(at) {
      clearTimeout(this.timer);
      if (!this.spec.main || String(at) === (this.spec.step || "0")) return;
      this.timer = setTimeout(() => {
        rpax.writtenStep = String(at);
        rpax.go({ step: String(at) }, true);
      }, 400);
    }

    close() {
      clearTimeout(this.timer);
      const role = playing.main === this.player ? "main" : playing.other === this.player ? "other" : null;
      if (this.player) this.player.destroy();
      if (this.player && role) playing[role] = null;
      this.player = null;
      this.node.textContent = "";
    }

    destroy() {
      this.close();
    }
  }
})(window.rpax);
