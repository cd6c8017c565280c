/** The explorer: which view the address asks for, and drawing it whenever the address or a document changes. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const app = document.getElementById("app");
  let shown = null;

  /** What the address asks for: {view, id, query}. */
  function readRoute() {
    const [path, search] = location.hash.replace(/^#/, "").split("?");
    const match = /^\/(run|grid)\/(\d{1,6})$/.exec(path || "");
    const query = {};
    for (const [name, value] of new URLSearchParams(search || "")) query[name] = value;
    if (match) return { view: match[1], id: Number(match[2]), query };
    return { view: path === "" || path === "/" ? "home" : "unknown", id: null, query };
  }

  /**
   * Change some of what the address asks for.
   * @param {Object} changes - values by name; null leaves a name out.
   * @param {boolean=} quietly - without a new entry in the history.
   */
  rpax.go = function (changes, quietly) {
    const [path, search] = location.hash.replace(/^#/, "").split("?");
    const query = new URLSearchParams(search || "");
    for (const name of Object.keys(changes)) {
      if (changes[name] === null) query.delete(name);
      else query.set(name, changes[name]);
    }
    const text = query.toString().replace(/%2C/g, ",");
    const next = `#${path || "/"}${text ? "?" + text : ""}`;
    if (next === location.hash) return;
    if (quietly) {
      history.replaceState(null, "", next);
      draw();
    } else {
      location.hash = next;
      draw();
    }
  };

  rpax.redraw = draw;

  rpax.nothingHere = (what) => [
    h("h1", { key: "title", tabindex: "-1" }, "Nothing here"),
    h("p", { key: "text" }, `There is no such ${what}. `, h("a", { href: "#/" }, "All runs")),
  ];

  function header(overview, route) {
    const where = [
      h("a", { key: "home", href: "#/", "aria-current": route.view === "home" ? "page" : null }, "Runs"),
    ];
    for (const grid of overview.grids.slice(0, 6)) {
      where.push(
        h(
          "a",
          {
            key: `grid ${grid.id}`,
            href: `#/grid/${grid.id}`,
            "aria-current": route.view === "grid" && route.id === grid.id ? "page" : null,
          },
          grid.environment,
        ),
      );
    }
    return h(
      "header",
      { key: "header", class: "top" },
      h("a", { key: "brand", class: "brand", href: "#/" }, "rpax"),
      h("nav", { key: "nav", "aria-label": "pages" }, where),
      h("span", { key: "state", class: "state-chip", role: "status" }, state()),
      themeButton(),
    );
  }

  function state() {
    if (rpax.data.exported) return h("span", { class: "chip plain" }, "exported");
    return rpax.data.lost
      ? h("span", { class: "chip bad" }, "not connected")
      : h("span", { class: "chip live" }, "live");
  }

  function themeButton() {
    const dark = rpax.theme().dark;
    return h(
      "button",
      {
        key: "theme",
        type: "button",
        class: "theme",
        "aria-label": dark ? "Use light colours" : "Use dark colours",
        onclick: () => rpax.setTheme(dark ? "light" : "dark"),
      },
      dark ? "Light" : "Dark",
    );
  }

  function draw() {
    const overview = rpax.data.overview;
    const route = readRoute();
    if (!overview) {
      const told = rpax.data.lost ? "The explorer does not answer." : "Reading the runs…";
      rpax.render(
        app,
        h("main", { key: "main", id: "main", tabindex: "-1" }, h("p", { class: "muted" }, told)),
      );
      return;
    }
    const view = rpax.views[route.view];
    const page = `${route.view} ${route.id}`;
    rpax.render(app, [
      header(overview, route),
      h(
        "main",
        { key: "main", id: "main", tabindex: "-1" },
        h(
          "div",
          { key: page, class: `view ${route.view}` },
          view ? view(overview, route) : rpax.nothingHere("page"),
        ),
      ),
      h("footer", { key: "footer", class: "muted small" }, `rpax ${overview.rpax}`),
    ]);
    const heading = app.querySelector("h1");
    document.title =
      heading && route.view !== "home" ? `${heading.textContent} \u2013 ${overview.title}` : overview.title;
    if (shown !== null && shown !== page) {
      window.scrollTo(0, 0);
      if (heading) heading.focus({ preventScroll: true });
    }
    shown = page;
  }

  window.addEventListener("hashchange", draw);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  rpax.onTheme(draw);
  rpax.data.listen(draw);
  draw();
  rpax.data.start();
})(window.rpax);
