/** A cross-play grid: what cells show, the cells, the metrics of every group, and the chosen cell. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const METRICS = [
    ["mean", "Mean return"],
    ["drop", "SP \u2212 XP"],
    ["gap", "Gap"],
  ];
  const SEATS = [
    ["0", "Seat 0"],
    ["1", "Seat 1"],
    ["both", "Both"],
  ];
  const EXPLAINED = {
    mean: "Mean return of the seat, with the 95 % interval over episodes.",
    drop: "Self-play minus cross-play: what an agent of the seat loses to playing with itself. 0 where nothing is lost.",
    gap: "Rationality gap of the agent in the seat: what its policy loses at least, whoever its partner is; 0 is rational. Of both seats, the larger.",
  };


  // ---- the page

  rpax.views.grid = function (overview, route) {
    const line = overview.grids.find((grid) => grid.id === route.id);
    if (!line) return rpax.nothingHere("grid");
    const { found, error } = rpax.data.want(`grid/${route.id}`, line.version);
    const head = [
      h("h1", { key: "title", tabindex: "-1" }, `Cross-play in ${line.environment}`),
      h(
        "p",
        { key: "about", class: "facts" },
        h("span", { class: "muted" }, line.agents ? `${rpax.several(line.agents, "agent")}, ${line.about}` : line.about),
        rpax.playedBar(line),
      ),
      line.problem || error ? h("p", { key: "problem", class: "warn" }, line.problem || error) : null,
      ((found && found.left_out) || []).map((its) =>
        h("p", { key: `out ${its.run}`, class: "warn small" }, `${its.run} is left out: ${its.reason}`),
      ),
    ];
    if (!found || !found.values)
      return [
        ...head,
        line.problem ? null : h("p", { key: "wait", class: "muted" }, "No cell is played yet."),
      ];
    const asked = readQuery(route.query, found);
    return [
      ...head,
      h(
        "div",
        {
          key: "split",
          class: `split${asked.cell ? " chosen" : ""}${asked.cell && asked.other ? " comparing" : ""}`,
        },
        h(
          "section",
          { key: "grid", class: "grid-side", "aria-label": "grid" },
          tools(asked),
          heatmap(found, asked),
          legendOf(found, asked),
          metricsTable(found),
        ),
        h(
          "section",
          { key: "cell", class: "cell-side", "aria-label": "chosen cell" },
          rpax.cellPanel(line, found, asked),
        ),
      ),
    ];
  };

  function readQuery(query, grid) {
    const count = grid.agents.length;
    const within = (row, column) =>
      row >= 0 && row < count && column >= 0 && column < count ? [row, column] : null;
    const pair = (text) =>
      /^\d{1,4},\d{1,4}$/.test(text || "") ? within(...text.split(",").map(Number)) : null;
    const choice = (value, options, first) => (options.some(([each]) => each === value) ? value : first);
    return {
      metric: choice(query.metric, METRICS, "mean"),
      seat: choice(query.seat, SEATS, "both"),
      pick: choice(
        query.pick,
        rpax.data.overview.picks.map((pick) => [pick]),
        "median",
      ),
      cell: pair(`${query.row},${query.column}`),
      other: pair(query.with),
      step: query.step,
      comparing: rpax.comparing === location.hash.split("?")[0],
    };
  }

  function tools(asked) {
    return h(
      "div",
      { key: "tools", class: "tools" },
      rpax.choice("what cells show", METRICS, asked.metric, (metric) => rpax.go({ metric })),
      rpax.choice("whose return", SEATS, asked.seat, (seat) => rpax.go({ seat })),
      h("p", { class: "muted small" }, EXPLAINED[asked.metric]),
    );
  }

  function heatmap(grid, asked) {
    const order = grid.order;
    const cells = order.map((row) =>
      order.map((column) => rpax.cellValue(grid, asked.metric, asked.seat, row, column)),
    );
    const colour = rpax.colours(
      cells.flat().map((cell) => cell.value),
      asked.metric,
    );
    const starts = new Set(
      order
        .map((_, place) => place)
        .filter((place) => place && grid.agents[order[place]].group !== grid.agents[order[place - 1]].group),
    );
    return h("div", {
      key: "heatmap",
      island: rpax.Heatmap,
      spec: { grid, asked, order, cells, colour, starts, theme: rpax.theme().dark },
    });
  }

  function legendOf(grid, asked) {
    const values = grid.order.flatMap((row) =>
      grid.order.map((column) => rpax.cellValue(grid, asked.metric, asked.seat, row, column).value),
    );
    const colour = rpax.colours(values, asked.metric);
    if (values.every((value) => value === null)) {
      return h(
        "p",
        { key: "scale", class: "muted" },
        asked.metric === "gap"
          ? "No gap is known: exact gaps come with matrix games, `rpax certify RUN` finds others."
          : "Nothing is known yet.",
      );
    }
    return h(
      "div",
      { key: "scale", class: "scale" },
      h("span", null, rpax.short(colour.low)),
      h("span", { class: "ramp", style: { background: `linear-gradient(to right, ${colour.gradient})` } }),
      h("span", null, rpax.short(colour.high)),
    );
  }

  function metricsTable(grid) {
    if (!grid.metrics) return null;
    const columns = [
      ["self_play", "self-play"],
      ["strict_metric", "different seeds"],
      ["gap", "SP \u2212 XP"],
      ["paper_metric", "the paper's way"],
    ];
    return h(
      "details",
      { key: "metrics", open: true },
      h("summary", null, "Metrics of every group"),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "metrics of every group" },
        h(
          "table",
          null,
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("th", { scope: "col" }, "group"),
              h("th", { scope: "col" }, "agents"),
              h("th", { scope: "col" }, "seeds"),
              columns.map(([, name]) => h("th", { scope: "col" }, name)),
            ),
          ),
          h(
            "tbody",
            null,
            grid.metrics.map((its) =>
              h(
                "tr",
                { key: its.group },
                h("th", { scope: "row" }, its.group),
                h("td", null, its.agents),
                h("td", null, its.seeds),
                columns.map(([name]) => h("td", null, its[name] ? rpax.interval(...its[name]) : "–")),
              ),
            ),
          ),
        ),
      ),
      h(
        "p",
        { class: "muted small" },
        "Returns are means of both seats, with 95 % intervals over seeds where there are several.",
      ),
    );
  }
})(window.rpax);
