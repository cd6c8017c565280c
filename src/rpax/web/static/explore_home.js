/** The first page: grids as cards, runs as a table. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;

  rpax.views = rpax.views || {};

  rpax.views.home = function (overview) {
    return [
      h("h1", { key: "title", tabindex: "-1" }, overview.title),
      overview.grids.length
        ? h(
            "section",
            { key: "grids", "aria-labelledby": "grids-title" },
            h("h2", { id: "grids-title" }, "Cross-play"),
            h("div", { class: "cards" }, overview.grids.map(card)),
          )
        : null,
      h(
        "section",
        { key: "runs", "aria-labelledby": "runs-title" },
        h("h2", { id: "runs-title" }, "Runs"),
        table(overview),
      ),
    ];
  };

  function card(grid) {
    return h(
      "a",
      { key: grid.id, class: "card", href: `#/grid/${grid.id}` },
      h("div", { class: "thumb", island: Thumbnail, spec: { grid } }),
      h(
        "div",
        { class: "card-text" },
        h("strong", null, grid.environment),
        h("span", { class: "muted" }, grid.agents ? `${rpax.several(grid.agents, "agent")}, ${grid.about}` : grid.about),
        grid.problem ? h("span", { class: "warn" }, grid.problem) : rpax.playedBar(grid),
      ),
    );
  }

  /** How much of a grid is played; nothing once all is. */
  rpax.playedBar = function (grid) {
    if (grid.problem || (grid.total && grid.done >= grid.total)) return null;
    const text = grid.total ? `${grid.done} of ${grid.total} cells played` : "the agents are being read";
    return h(
      "span",
      { class: "played" },
      progress(grid.done, grid.total || 1, "cells played"),
      h("span", { class: "muted" }, text),
    );
  };

  function progress(done, total, label) {
    return h(
      "span",
      {
        class: "bar",
        role: "progressbar",
        "aria-label": label,
        "aria-valuemin": 0,
        "aria-valuemax": total,
        "aria-valuenow": done,
      },
      h("span", { style: { width: `${Math.min(100, (100 * done) / Math.max(total, 1))}%` } }),
    );
  }

  /** A grid's mean returns, one dot a cell. */
  class Thumbnail {
    constructor(node) {
      this.canvas = document.createElement("canvas");
      this.canvas.setAttribute("aria-hidden", "true");
      node.append(this.canvas);
    }

    update(spec) {
      const { found } = rpax.data.want(`grid/${spec.grid.id}`, spec.grid.version);
      if (!found || !found.values || this.shown === found) return;
      this.shown = found;
      const values = found.order.map((row) =>
        found.order.map((column) => found.values.both.mean[row][column]),
      );
      const colour = rpax.colours(values.flat(), "mean");
      this.canvas.width = this.canvas.height = values.length;
      const context = this.canvas.getContext("2d");
      values.forEach((row, y) =>
        row.forEach((value, x) => {
          context.fillStyle = value === null ? "transparent" : colour(value).background;
          context.fillRect(x, y, 1, 1);
        }),
      );
    }

    destroy() {}
  }

  function table(overview) {
    const head = ["run", "algorithm", "environment", "seeds", "status"];
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "runs" },
      h(
        "table",
        { class: "runs" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            head.map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          null,
          overview.runs.map((run) => line(run)),
        ),
      ),
    );
  }

  function line(run) {
    const name = h(
      "th",
      { scope: "row", class: run.parent === undefined ? "" : "stage" },
      h("a", { href: `#/run/${run.id}` }, run.name),
      run.about ? h("div", { class: "muted" }, run.about) : null,
    );
    if (run.reason) {
      return h(
        "tr",
        { key: run.id },
        name,
        h("td", { colspan: 3, class: "warn" }, run.reason),
        h("td", null, rpax.chip(run.status)),
      );
    }
    return h(
      "tr",
      { key: run.id },
      name,
      h("td", null, run.algorithm),
      h("td", null, run.environment),
      h(
        "td",
        null,
        // Where columns stand below each other, no head says what the numbers are.
        h("span", { class: "what" }, run.seeds.length === 1 ? "seed " : "seeds "),
        run.seeds.length > 6
          ? `${run.seeds[0]} … ${run.seeds[run.seeds.length - 1]} (${run.seeds.length})`
          : run.seeds.join(", "),
      ),
      h("td", null, rpax.runStatus(run)),
    );
  }

  /** The status of a run, and how far it is. */
  rpax.runStatus = function (run) {
    const far = run.updates
      ? `${rpax.count(run.update)} of ${rpax.count(run.updates)} updates`
      : `update ${rpax.count(run.update)}`;
    return h(
      "span",
      { class: "status" },
      rpax.chip(run.status),
      run.status === "training" && run.updates ? progress(run.update, run.updates, "updates made") : null,
      h("span", { class: "muted" }, run.status === "finished" ? `${rpax.count(run.update)} updates` : far),
    );
  };

  rpax.chip = function (status) {
    const kind = { finished: "good", training: "live", failed: "bad", unreadable: "bad" }[status] || "plain";
    return h("span", { class: `chip ${kind}` }, status);
  };
})(window.rpax);
