/** A run: its parts in two columns, the episodes that people played, its settings. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const outcome = rpax.outcome;
  rpax.views.run = function (overview, route) {
    const line = overview.runs.find((run) => run.id === route.id);
    if (!line) return rpax.nothingHere("run");
    const { found, error } = rpax.data.want(`run/${route.id}`, [line.version, line.plays_version]);
    const title = h("h1", { key: "title", tabindex: "-1" }, line.name);
    if (line.reason || !found) {
      return [
        title,
        h(
          "p",
          { key: "state", class: line.reason || error ? "warn" : "muted" },
          line.reason || error || "reading…",
        ),
      ];
    }
    return [
      title,
      h(
        "p",
        { key: "about", class: "facts" },
        h("b", null, line.algorithm),
        " on ",
        h("b", null, line.environment),
        h("span", null, ` seeds ${line.seeds.join(", ")}`),
        rpax.runStatus(line),
      ),
      line.about ? h("p", { key: "stage", class: "muted" }, line.about) : null,
      links(overview, line),
      found.reason ? h("p", { key: "reason", class: "warn" }, found.reason) : null,
      found.failure ? h("p", { key: "failure", class: "warn" }, found.failure) : null,
      found.settings ? parts(found, line, route) : null,
    ];
  };

  function parts(found, line, route) {
    return h(
      "div",
      { key: "parts", class: "parts" },
      h(
        "div",
        { key: "main", class: "part-column" },
        rpax.curves(found, route),
        outcome.graph(found.graph),
        outcome.returns(found),
        plays(found, line, route),
      ),
      h(
        "div",
        { key: "side", class: "part-column" },
        outcome.diagnosis(found),
        found.attack ? outcome.attack(found.attack) : null,
        found.table ? outcome.matrix(found.table) : null,
        outcome.gaps(found),
        settings(found),
      ),
    );
  }

  function links(overview, line) {
    const stages = overview.runs.filter((run) => run.parent === line.id);
    const parent = overview.runs.find((run) => run.id === line.parent);
    if (!stages.length && !parent) return null;
    return h(
      "p",
      { key: "links", class: "muted" },
      parent ? ["a stage of ", h("a", { href: `#/run/${parent.id}` }, parent.name)] : "stages: ",
      stages.map((run, place) => [place ? ", " : "", h("a", { href: `#/run/${run.id}` }, run.name)]),
    );
  }

  function plays(found, line, route) {
    if (!found.plays.length) return null;
    const shown = found.plays.find((play) => String(play.id) === route.query.play && !play.reason);
    return rpax.part(
      "plays",
      "Played by people",
      h(
        "ul",
        { key: "list", class: "plays" },
        found.plays.map((play) =>
          h(
            "li",
            { key: play.id },
            play.reason
              ? h("span", { class: "warn" }, play.reason)
              : h(
                  "button",
                  {
                    type: "button",
                    "aria-pressed": String(shown === play),
                    onclick: () => rpax.go({ play: shown === play ? null : String(play.id), step: null }),
                  },
                  `${play.players[0].name} with ${play.players[1].name}: ${play.returns.map(rpax.short).join(" and ")} in ${rpax.several(play.length, "step")}`,
                ),
          ),
        ),
      ),
      found.plays_left_out
        ? h(
            "p",
            { key: "left out", class: "muted small" },
            `Not listed: ${rpax.several(found.plays_left_out, "older episode")}.`,
          )
        : null,
      shown
        ? rpax.recordingPanel({
            key: `play ${shown.id}`,
            path: `play/${line.id}/${shown.id}`,
            mark: [shown.name, shown.mark],
            label: shown.name,
            step: route.query.step,
            main: true,
            whole: true,
          })
        : null,
    );
  }

  function settings(found) {
    const differing = new Set(found.differing);
    const lines = (names) =>
      rpax.rows(
        ["setting", "value"],
        names.map((its) => [its.name, its.value]),
        "settings",
      );
    const different = found.settings.filter((its) => differing.has(its.name));
    return rpax.part(
      "settings",
      "Settings",
      different.length
        ? h(
            "details",
            { key: "differ", open: different.length <= 12 },
            h("summary", null, `${different.length} in which runs of this environment differ`),
            lines(different),
          )
        : null,
      h(
        "details",
        { key: "all" },
        h("summary", null, `All ${found.settings.length} settings`),
        lines(found.settings),
      ),
    );
  }
})(window.rpax);
