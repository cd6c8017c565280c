/** A run: learning curves, objective graph, returns, policies and gaps, attack, certificates, diagnosis, settings. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const FEW = 8;
  const KINDS = {
    exact: "returns, exact", lookahead: "returns in lookahead play", outer: "returns in outer play", policies: "policies",
    entropy: "entropy", base_gradient_norm: "gradient norms", manipulator_gradient_norm: "gradient norms of manipulators",
    influence: "influence", critic_loss: "critic loss",
  };
  const UNITS = { exact: "return", lookahead: "return", outer: "return", policies: "probability", entropy: "nats", critic_loss: "loss", influence: "influence" };

  rpax.views.run = function (overview, route) {
    const line = overview.runs.find((run) => run.id === route.id);
    if (!line) return rpax.nothingHere("run");
    const { found, error } = rpax.data.want(`run/${route.id}`, [line.version, line.plays_version]);
    const title = h("h1", { key: "title", tabindex: "-1" }, line.name);
    if (line.reason || !found) {
      return [title, h("p", { key: "state", class: line.reason || error ? "warn" : "muted" }, line.reason || error || "reading…")];
    }
    return [
      title,
      h("p", { key: "about", class: "facts" }, h("b", null, line.algorithm), " on ", h("b", null, line.environment), h("span", null, ` seeds ${line.seeds.join(', ')}`), rpax.runStatus(line)),
      line.about ? h("p", { key: "stage", class: "muted" }, line.about) : null,
      links(overview, line),
      found.reason ? h("p", { key: "reason", class: "warn" }, found.reason) : null,
      found.failure ? h("p", { key: "failure", class: "warn" }, found.failure) : null,
      found.settings ? parts(found, line, route) : null,
    ];
  };

  function parts(found, line, route) {
    return h(
      "div", { key: "parts", class: "parts" },
      h("div", { key: "main", class: "part-column" }, curves(found, route), graph(found.graph), returns(found), plays(found, line, route)),
      h("div", { key: "side", class: "part-column" },
        diagnosis(found), found.attack ? attack(found.attack) : null, found.table ? matrix(found.table) : null, gaps(found), settings(found))
    );
  }

  const part = (key, title, ...content) =>
    h("section", { key, class: "part", "aria-labelledby": `part-${key}` }, h("h2", { id: `part-${key}` }, title), ...content);

  function links(overview, line) {
    const stages = overview.runs.filter((run) => run.parent === line.id);
    const parent = overview.runs.find((run) => run.id === line.parent);
    if (!stages.length && !parent) return null;
    return h("p", { key: "links", class: "muted" },
      parent ? ["a stage of ", h("a", { href: `#/run/${parent.id}` }, parent.name)] : "stages: ",
      stages.map((run, place) => [place ? ", " : "", h("a", { href: `#/run/${run.id}` }, run.name)]));
  }

  // ---- curves

  function curves(found, route) {
    const { lines, updates } = found.curves;
    if (!lines.length) return part("curves", "Learning curves", h("p", { class: "muted" }, "Nothing is logged yet."));
    const kinds = [...new Set(lines.map((line) => line.kind))];
    const kind = kinds.includes(route.query.curves) ? route.query.curves : kinds[0];
    let own = lines.filter((line) => line.kind === kind).map((line, look) => ({ ...line, look, key: look, name: nameOf(line, found) }));
    const all = own;
    const chosen = route.query.lines ? new Set(route.query.lines.split(",").map(Number)) : new Set(own.slice(0, FEW).map((line) => line.look));
    own = own.filter((line) => chosen.has(line.look));
    const seeds = found.curves.seeds.length > 1;
    const spec = {
      label: `${KINDS[kind]} by update of ${own.map((line) => line.name).join(', ')}`, yLabel: UNITS[kind] || "norm",
      updates, lines: own, seeds: seeds && route.query.seeds === "1", range: kind === "policies" ? [-0.02, 1.02] : null,
    };
    const toggle = (look) => {
      const next = new Set(chosen);
      if (!next.delete(look)) next.add(look);
      rpax.go({ lines: [...next].sort((a, b) => a - b).join(",") || "-1" }, true);
    };
    return part(
      "curves", "Learning curves",
      h("div", { key: "tools", class: "tools" },
        kinds.length > 1
          ? h("label", null, "show ", h("select", { value: kind, onchange: (event) => rpax.go({ curves: event.target.value, lines: null }) },
              kinds.map((each) => h("option", { key: each, value: each }, KINDS[each]))))
          : null,
        seeds ? h("label", null, h("input", { type: "checkbox", checked: spec.seeds, onchange: (event) => rpax.go({ seeds: event.target.checked ? "1" : null }, true) }), " every seed") : null),
      h("div", { key: "chart", island: rpax.LineChart, spec: same(spec) }),
      h("div", { key: "legend", class: "legend", role: "group", "aria-label": "curves that are shown" },
        all.map((line) => h("button", { key: line.look, type: "button", "aria-pressed": String(chosen.has(line.look)), onclick: () => toggle(line.look) }, rpax.swatch(line.look), " ", line.name))),
      h("p", { key: "note", class: "muted small" },
        (seeds ? `Mean over ${found.curves.seeds.length} seeds, in a band from the lowest to the highest. ` : "") +
          (found.curves.every > 1 ? `Every ${found.curves.every}th logged update is shown.` : "")),
      h("details", { key: "table" }, h("summary", null, "Values as a table"), rpax.chartTable(spec))
    );
  }

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
      return `${line.name}, seat ${seat}: ${names[action] || 'action ' + action}`;
    }
    if (line.part === null) return line.name || KINDS[line.kind];
    return `${line.name}, seat ${line.part[0]}`;
  }

  // ---- what came out

  function diagnosis(found) {
    if (!found.pairings.length) return null;
    return part("diagnosis", "Diagnosis", found.notes.length
        ? h("ul", null, found.notes.map((note) => h("li", null, h("span", { class: "muted" }, `seed ${note.seed}: `), note.note)))
        : h("p", null, "No sign of self-sabotage, of manipulators without influence, or of unstable shaping was noticed."));
  }

  function attack(its) {
    const kind = { sabotage: "bad", "real weakness": "warn", robust: "good" }[its.verdict] || "plain";
    return part("attack", "Attack", h("p", null, h("span", { class: `chip ${kind}` }, its.verdict), " ", its.reason),
      h("p", { class: "muted" }, `Attacked: ${its.victim}${its.with ? `, which played with ${its.with} before` : ''}`),
      rows(["who", "return"], its.returns.map((line) => [line.who, plusMinus(line)])));
  }

  const plusMinus = (line) => rpax.short(line.mean) + (line.half_width ? ` ± ${rpax.short(line.half_width)}` : "");

  function rows(head, lines, caption) {
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || head.join(", ") },
      h("table", null,
        h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", null, lines.map((line) => h("tr", null, line.map((cell, place) => (place ? h("td", null, cell) : h("th", { scope: "row" }, cell))))))));
  }

  function matrix(table) {
    const seed = table.agents.length ? table.agents[0].seeds.length : 0;
    return part("policies", "Payoffs and policies", h("div", { key: "payoffs", class: "scroll", tabindex: "0", role: "region", "aria-label": "payoffs" },
        h("table", { class: "payoffs" },
          h("caption", null, table.common ? "Payoff of both seats" : ["Payoffs of ", h("span", { class: "seat0" }, "seat 0"), " and ", h("span", { class: "seat1" }, "seat 1")]),
          h("thead", null, h("tr", null, h("td", null), table.columns.map((name) => h("th", { scope: "col", class: "seat1" }, name)))),
          h("tbody", null, table.payoffs.map((line, row) => h("tr", null, h("th", { scope: "row", class: "seat0" }, table.rows[row]),
            line.map(([first, second]) => h("td", null, table.common ? rpax.short(first) : [h("span", { class: "seat0" }, rpax.short(first)), " ", h("span", { class: "seat1" }, rpax.short(second))]))))))),
      table.agents.map((agent) => policy(agent, agent.seat === 0 ? table.rows : table.columns)),
      h("p", { key: "note", class: "muted small" },
        seed ? `Bars: mean over ${seed === 1 ? 'the seed' : seed + ' seeds'}, ticks: each seed. Gap: what the policy loses at least, whoever the partner is; 0 is rational.` : "Policies are shown once the run has finished."));
  }

  function policy(agent, names) {
    const gaps = agent.seeds.map((its) => its.gap).filter((gap) => gap !== null);
    const known = gaps.length ? `gap ${Math.max(...gaps) < 1e-9 ? '0' : Math.max(...gaps).toPrecision(2)}${gaps.length > 1 ? ' at most' : ''}` : "";
    return h("div", { key: `${agent.agent} ${agent.seat}`, class: "policy" },
      h("div", { class: "policy-head" }, h("b", { class: `seat${agent.seat}` }, agent.agent), h("span", { class: "muted" }, ` seat ${agent.seat}, ${agent.role}`), known ? h("span", { class: `chip ${gaps.every((gap) => gap < 1e-3) ? 'good' : 'warn'}` }, known) : null),
      names.map((name, action) => {
        const each = agent.seeds.map((its) => its.policy[action]);
        const mean = each.reduce((a, b) => a + b, 0) / each.length;
        return h("div", { key: action, class: "probability" }, h("span", { class: "action" }, name),
          h("span", { class: `meter seat${agent.seat}` },
            h("span", { class: "fill", style: { width: `${100 * mean}%` } }),
            each.map((value) => h("span", { class: "tick", style: { left: `${100 * value}%` } }))),
          h("span", { class: "figure" }, mean.toFixed(3)));
      }));
  }

  function graph(its) {
    if (!its) return part("graph", "Objective", h("p", { class: "muted" }, "The objective has too many agents and edges to be drawn."));
    return part("graph", "Objective", h("p", null, h("span", { class: `chip ${its.rational ? 'good' : 'warn'}` }, its.rational ? "rational" : "may self-sabotage"), " ",
        its.rational ? "Every base agent maximises only its own return." : "A base agent is paid for more than its own return."),
      rpax.objectiveGraph(its),
      h("p", { class: "muted small" }, "An arrow leaves who learns and points at whom it plays with; blue raises the return U of the agent named, red lowers it. Banded: a manipulator, for whom the agent that it shapes plays."));
  }

  function returns(found) {
    if (!found.pairings.length) return null;
    const cell = (its, half) => {
      const several = its.values.length > 1;
      if (several) return `${rpax.short(its.mean)} (${rpax.short(its.low)} … ${rpax.short(its.high)})`;
      return rpax.short(its.mean) + (half ? ` ± ${rpax.short(half)}` : "");
    };
    const seats = found.pairings.every((its) => JSON.stringify(its.returns[0]) === JSON.stringify(its.returns[1])) ? [0] : [0, 1];
    const head = seats.length > 1 ? ["return of seat 0", "return of seat 1"] : ["return of both seats"];
    const lines = found.pairings.map((its) => [its.seat_0, its.seat_1, ...seats.map((seat) => cell(its.returns[seat], its.half_width && its.half_width[seat]))]);
    const several = found.pairings[0].returns[0].values.length > 1;
    return part("returns", "Returns by pairing", rows(["seat 0", "seat 1", ...head], lines, "returns by pairing"),
      h("p", { class: "muted small" }, several ? "Mean over seeds (lowest … highest)." : found.pairings[0].episodes ? `With 95 % intervals over ${found.pairings[0].episodes} episodes.` : "Exact."));
  }

  function gaps(found) {
    const exact = found.gaps.map((its) => [its.agent, its.seat, small(its.mean) + (its.values.length > 1 ? ` (${small(its.low)} … ${small(its.high)})` : ""), "exact"]);
    const trained = found.certificates && found.certificates.method === "trained"
      ? found.certificates.certificates.map((its) => [`${its.agent}, seed ${its.seed}`, its.seats.join(" and "), `at least ${small(its.gap)}${its.half_width ? ` (± ${small(its.half_width)})` : ''}`, `trained best response to ${its.partners.join(', ')}`])
      : [];
    if (!exact.length && !trained.length) return null;
    return part("gaps", "Rationality gaps", rows(["agent", "seat", "gap", "how"], [...exact, ...trained], "rationality gaps"));
  }

  const small = (value) => (value === null ? "–" : Math.abs(value) < 1e-12 ? "0" : Number(value).toPrecision(2).replace(/-/g, "\u2212"));

  function plays(found, line, route) {
    if (!found.plays.length) return null;
    const shown = found.plays.find((play) => String(play.id) === route.query.play && !play.reason);
    return part("plays", "Played by people", h("ul", { key: "list", class: "plays" }, found.plays.map((play) =>
        h("li", { key: play.id }, play.reason
          ? h("span", { class: "warn" }, play.reason)
          : h("button", { type: "button", "aria-pressed": String(shown === play), onclick: () => rpax.go({ play: shown === play ? null : String(play.id), step: null }) },
              `${play.players[0].name} with ${play.players[1].name}: ${play.returns.map(rpax.short).join(' and ')} in ${play.length} steps`)))),
      shown ? rpax.recordingPanel({ key: `play ${shown.id}`, path: `play/${line.id}/${shown.id}`, label: shown.name, step: route.query.step, main: true, whole: true }) : null);
  }

  function settings(found) {
    const differing = new Set(found.differing);
    const lines = (names) => rows(["setting", "value"], names.map((its) => [its.name, its.value]), "settings");
    const different = found.settings.filter((its) => differing.has(its.name));
    return part("settings", "Settings",
      different.length
        ? h("details", { key: "differ", open: different.length <= 12 }, h("summary", null, `${different.length} in which runs of this environment differ`), lines(different))
        : null,
      h("details", { key: "all" }, h("summary", null, `All ${found.settings.length} settings`), lines(found.settings)));
  }
})(window.rpax);
