/** What came out of a run: diagnosis, attack, payoffs and policies, objective, returns, gaps. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const outcome = {};
  rpax.outcome = outcome;
  /** A headed part of a page. */
  rpax.part = (key, title, ...content) =>
    h(
      "section",
      { key, class: "part", "aria-labelledby": `part-${key}` },
      h("h2", { id: `part-${key}` }, title),
      ...content,
    );

  outcome.diagnosis = function (found) {
    if (!found.pairings.length) return null;
    return rpax.part(
      "diagnosis",
      "Diagnosis",
      found.notes.length
        ? h(
            "ul",
            null,
            found.notes.map((note) =>
              h("li", null, h("span", { class: "muted" }, `seed ${note.seed}: `), note.note),
            ),
          )
        : h(
            "p",
            null,
            "No sign of self-sabotage, of manipulators without influence, or of unstable shaping was noticed.",
          ),
    );
  };

  outcome.attack = function (its) {
    const kind = { sabotage: "bad", "real weakness": "warn", robust: "good" }[its.verdict] || "plain";
    return rpax.part(
      "attack",
      "Attack",
      h("p", null, h("span", { class: `chip ${kind}` }, its.verdict), " ", its.reason),
      h(
        "p",
        { class: "muted" },
        `Attacked: ${its.victim}${its.with ? `, which played with ${its.with} before` : ""}`,
      ),
      rpax.rows(
        ["who", "return"],
        its.returns.map((line) => [line.who, plusMinus(line)]),
      ),
    );
  };

  const plusMinus = (line) =>
    rpax.short(line.mean) + (line.half_width ? ` ± ${rpax.short(line.half_width)}` : "");

  /** A table; the first cell of a line is its head. */
  rpax.rows = function (head, lines, caption) {
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || head.join(", ") },
      h(
        "table",
        null,
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
          lines.map((line) =>
            h(
              "tr",
              null,
              line.map((cell, place) => (place ? h("td", null, cell) : h("th", { scope: "row" }, cell))),
            ),
          ),
        ),
      ),
    );
  };

  outcome.matrix = function (table) {
    const seed = table.agents.length ? table.agents[0].seeds.length : 0;
    return rpax.part(
      "policies",
      "Payoffs and policies",
      h(
        "div",
        { key: "payoffs", class: "scroll", tabindex: "0", role: "region", "aria-label": "payoffs" },
        h(
          "table",
          { class: "payoffs" },
          h(
            "caption",
            null,
            table.common
              ? "Payoff of both seats"
              : [
                  "Payoffs of ",
                  h("span", { class: "seat0" }, "seat 0"),
                  " and ",
                  h("span", { class: "seat1" }, "seat 1"),
                ],
          ),
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("td", null),
              table.columns.map((name) => h("th", { scope: "col", class: "seat1" }, name)),
            ),
          ),
          h(
            "tbody",
            null,
            table.payoffs.map((line, row) =>
              h(
                "tr",
                null,
                h("th", { scope: "row", class: "seat0" }, table.rows[row]),
                line.map(([first, second]) =>
                  h(
                    "td",
                    null,
                    table.common
                      ? rpax.short(first)
                      : [
                          h("span", { class: "seat0" }, rpax.short(first)),
                          " ",
                          h("span", { class: "seat1" }, rpax.short(second)),
                        ],
                  ),
                ),
              ),
            ),
          ),
        ),
      ),
      table.agents.map((agent) => policy(agent, agent.seat === 0 ? table.rows : table.columns)),
      h(
        "p",
        { key: "note", class: "muted small" },
        seed
          ? `Bars: mean over ${seed === 1 ? "the seed" : seed + " seeds"}, ticks: each seed. Gap: what the policy loses at least, whoever the partner is; 0 is rational.`
          : "Policies are shown once the run has finished.",
      ),
    );
  };

  function policy(agent, names) {
    const gaps = agent.seeds.map((its) => its.gap).filter((gap) => gap !== null);
    const largest = Math.max(...gaps) < 1e-9 ? "0" : Math.max(...gaps).toPrecision(2);
    const known =
      gaps.length > 1 ? `gap up to ${largest} (${gaps.length} seeds)` : gaps.length ? `gap ${largest}` : "";
    return h(
      "div",
      { key: `${agent.agent} ${agent.seat}`, class: "policy" },
      h(
        "div",
        { class: "policy-head" },
        h("b", { class: `seat${agent.seat}` }, agent.agent),
        h("span", { class: "muted" }, ` seat ${agent.seat}, ${agent.role}`),
        known
          ? h("span", { class: `chip ${gaps.every((gap) => gap < 1e-3) ? "good" : "warn"}` }, known)
          : null,
      ),
      names.map((name, action) => {
        const each = agent.seeds.map((its) => its.policy[action]);
        const mean = each.reduce((a, b) => a + b, 0) / each.length;
        return h(
          "div",
          { key: action, class: "probability" },
          h("span", { class: "action" }, name),
          h(
            "span",
            { class: `meter seat${agent.seat}` },
            h("span", { class: "fill", style: { width: `${100 * mean}%` } }),
            each.map((value) => h("span", { class: "tick", style: { left: `${100 * value}%` } })),
          ),
          h("span", { class: "figure" }, mean.toFixed(3)),
        );
      }),
    );
  }

  outcome.graph = function (its) {
    if (!its)
      return rpax.part(
        "graph",
        "Objective",
        h("p", { class: "muted" }, "The objective has too many agents and edges to be drawn."),
      );
    return rpax.part(
      "graph",
      "Objective",
      h(
        "p",
        null,
        h(
          "span",
          { class: `chip ${its.rational ? "good" : "warn"}` },
          its.rational ? "rational" : "may self-sabotage",
        ),
        " ",
        its.rational
          ? "Every base agent maximises only its own return."
          : "A base agent is paid for more than its own return.",
      ),
      rpax.objectiveGraph(its),
      h(
        "p",
        { class: "muted small" },
        "An arrow leaves who learns and points at whom it plays with; blue raises the return U of the agent named, red lowers it. Banded: a manipulator, for whom the agent that it shapes plays.",
      ),
    );
  };

  outcome.returns = function (found) {
    if (!found.pairings.length) return null;
    const cell = (its, half) => {
      const several = its.values.length > 1;
      if (several) return `${rpax.short(its.mean)} (${rpax.short(its.low)} … ${rpax.short(its.high)})`;
      return rpax.short(its.mean) + (half ? ` ± ${rpax.short(half)}` : "");
    };
    const seats = found.pairings.every(
      (its) => JSON.stringify(its.returns[0]) === JSON.stringify(its.returns[1]),
    )
      ? [0]
      : [0, 1];
    const head = seats.length > 1 ? ["return of seat 0", "return of seat 1"] : ["return of both seats"];
    const lines = found.pairings.map((its) => [
      its.seat_0,
      its.seat_1,
      ...seats.map((seat) => cell(its.returns[seat], its.half_width && its.half_width[seat])),
    ]);
    const several = found.pairings[0].returns[0].values.length > 1;
    return rpax.part(
      "returns",
      "Returns by pairing",
      rpax.rows(["seat 0", "seat 1", ...head], lines, "returns by pairing"),
      h(
        "p",
        { class: "muted small" },
        several
          ? "Mean over seeds (lowest … highest)."
          : found.pairings[0].episodes
            ? `With 95 % intervals over ${rpax.several(found.pairings[0].episodes, "episode")}.`
            : "Exact.",
      ),
    );
  };

  outcome.gaps = function (found) {
    const certified = found.certificates || { method: "exact", certificates: [] };
    const exact = found.gaps.map((its) => [
      its.agent,
      its.seat,
      small(its.mean) + (its.values.length > 1 ? ` (${small(its.low)} … ${small(its.high)})` : ""),
      "exact",
    ]);
    const trained = certified.certificates.map((its) => [
      its.seed === null ? its.agent : `${its.agent}, seed ${its.seed}`,
      its.seats.join(" and "),
      certified.method === "exact"
        ? small(its.gap)
        : `at least ${small(its.gap)}${its.half_width ? ` (± ${small(its.half_width)})` : ""}`,
      certified.method === "exact" ? `certified: ${its.proof}` : `trained best response to ${its.partners.join(", ")}`,
    ]);
    if (!exact.length && !trained.length) return null;
    return rpax.part(
      "gaps",
      "Rationality gaps",
      rpax.rows(["agent", "seat", "gap", "how"], [...exact, ...trained], "rationality gaps"),
    );
  };

  const small = (value) =>
    value === null
      ? "–"
      : Math.abs(value) < 1e-12
        ? "0"
        : Number(value).toPrecision(2).replace(/-/g, "\u2212");
})(window.rpax);
