/** A run's learning curves: which of them are shown, the chart, and its values as a table. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const FEW = 8;
  const KINDS = {
    exact: "returns, exact",
    lookahead: "returns in lookahead play",
    outer: "returns in outer play",
    policies: "policies",
    entropy: "entropy",
    base_gradient_norm: "gradient norms",
    manipulator_gradient_norm: "gradient norms of manipulators",
    influence: "influence",
    critic_loss: "critic loss",
  };
  const UNITS = {
    exact: "return",
    lookahead: "return",
    outer: "return",
    policies: "probability",
    entropy: "nats",
    critic_loss: "loss",
    influence: "influence",
  };


  rpax.curves = function (found, route) {
    const { lines, updates } = found.curves;
    if (!lines.length)
      return rpax.part("curves", "Learning curves", h("p", { class: "muted" }, "Nothing is logged yet."));
    const kinds = [...new Set(lines.map((line) => line.kind))];
    const kind = kinds.includes(route.query.curves) ? route.query.curves : kinds[0];
    let own = lines
      .filter((line) => line.kind === kind)
      .map((line, look) => ({ ...line, look, key: look, name: nameOf(line, found) }));
    const all = own;
    const chosen = route.query.lines
      ? new Set(route.query.lines.split(",").map(Number))
      : new Set(own.slice(0, FEW).map((line) => line.look));
    own = own.filter((line) => chosen.has(line.look));
    const seeds = found.curves.seeds.length > 1;
    const spec = {
      label: `${KINDS[kind]} by update of ${own.map((line) => line.name).join(", ")}`,
      yLabel: UNITS[kind] || "norm",
      updates,
      lines: own,
      seeds: seeds && route.query.seeds === "1",
      range: kind === "policies" ? [-0.02, 1.02] : null,
    };
    const toggle = (look) => {
      const next = new Set(chosen);
      if (!next.delete(look)) next.add(look);
      rpax.go({ lines: [...next].sort((a, b) => a - b).join(",") || "-1" }, true);
    };
    return rpax.part(
      "curves",
      "Learning curves",
      h(
        "div",
        { key: "tools", class: "tools" },
        kinds.length > 1
          ? h(
              "label",
              null,
              "show ",
              h(
                "select",
                { value: kind, onchange: (event) => rpax.go({ curves: event.target.value, lines: null }) },
                kinds.map((each) => h("option", { key: each, value: each }, KINDS[each])),
              ),
            )
          : null,
        seeds
          ? h(
              "label",
              null,
              h("input", {
                type: "checkbox",
                checked: spec.seeds,
                onchange: (event) => rpax.go({ seeds: event.target.checked ? "1" : null }, true),
              }),
              " every seed",
            )
          : null,
      ),
      h("div", { key: "chart", island: rpax.LineChart, spec: same(spec) }),
      h(
        "div",
        { key: "legend", class: "legend", role: "group", "aria-label": "curves that are shown" },
        all.map((line) =>
          h(
            "button",
            {
              key: line.look,
              type: "button",
              "aria-pressed": String(chosen.has(line.look)),
              onclick: () => toggle(line.look),
            },
            rpax.swatch(line.look),
            " ",
            line.name,
          ),
        ),
      ),
      h(
        "p",
        { key: "note", class: "muted small" },
        (seeds
          ? `Mean over ${found.curves.seeds.length} seeds, in a band from the lowest to the highest. `
          : "") + (found.curves.every > 1 ? `Every ${found.curves.every}th logged update is shown.` : ""),
      ),
      h("details", { key: "table" }, h("summary", null, "Values as a table"), rpax.chartTable(spec)),
    );
  };

  // A chart is drawn anew where what it shows has changed.
  let last = { mark: null, spec: null };
  function same(spec) {
    const mark = JSON.stringify(spec);
    if (last.mark !== mark) last = { mark, spec };
    return last.spec;
  }

  function nameOf(line, found) {
    if (line.kind === "policies") {
      const [seat, action] = line.part;
      const names = found.table ? (seat === 0 ? found.table.rows : found.table.columns) : [];
      return `${line.name}, seat ${seat}: ${names[action] || "action " + action}`;
    }
    if (line.part === null) return line.name || KINDS[line.kind];
    return `${line.name}, seat ${line.part[0]}`;
  }
})(window.rpax);
