/** A cross-play grid: cells by colour, chosen by pointer or keys, and what is known of the chosen one. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  // Equal steps of colour look like equal steps of value, to colour-blind people too (points of matplotlib's viridis).
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const METRICS = [["mean", "Mean return"], ["drop", "SP \u2212 XP"], ["gap", "Gap"]];
  const SEATS = [["0", "Seat 0"], ["1", "Seat 1"], ["both", "Both"]];
  const EXPLAINED = {
    mean: "Mean return of the seat, with the 95 % interval over episodes.",
    drop: "Self-play minus cross-play: what an agent of the seat loses to playing with itself. 0 where nothing is lost.",
    gap: "Rationality gap of the agent in the seat: what its policy loses at least, whoever its partner is; 0 is rational.",
  };

  // ---- values

  /** The value of a cell and its interval: {value, low, high}, nulls where they are not known. */
  rpax.cellValue = function (grid, metric, seat, row, column) {
    const none = { value: null, low: null, high: null };
    const at = (name, r, c) => grid.values[seat][name][r][c];
    if (metric === "gap") {
      const own = [grid.agents[row].gaps["0"], grid.agents[column].gaps["1"]];
      const known = (seat === "both" ? own : [own[Number(seat)]]).filter((its) => its && its.gap !== null);
      return known.length ? { ...none, value: Math.max(...known.map((its) => its.gap)) } : none;
    }
    const mean = at("mean", row, column);
    if (mean === null) return none;
    if (metric === "mean") return { value: mean, low: at("low", row, column), high: at("high", row, column) };
    const alone = seat === "0" ? [row] : seat === "1" ? [column] : [row, column];
    if (alone.some((agent) => at("mean", agent, agent) === null)) return none;
    if (row === column) return { ...none, value: 0 };
    const half = (r, c) => at("high", r, c) - at("mean", r, c);
    const own = alone.reduce((sum, agent) => sum + at("mean", agent, agent), 0) / alone.length;
    const width = Math.hypot(half(row, column), ...alone.map((agent) => half(agent, agent) / alone.length));
    return { value: own - mean, low: own - mean - width, high: own - mean + width };
  };

  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const mixed = (a, b, share) => a.map((part, i) => part + (b[i] - part) * share);
  const along = (stops, share) => {
    const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
    const first = Math.min(Math.floor(place), stops.length - 2);
    return mixed(stops[first], stops[first + 1], place - first);
  };
  const luminance = (colour) => colour
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);

  /** From values to colours: a function that gives {background, ink}, with `low`, `high` and `stops` of the scale. */
  rpax.colours = function (values, metric) {
    const known = values.filter((value) => value !== null);
    let low = known.length ? Math.min(...known) : 0;
    let high = known.length ? Math.max(...known) : 1;
    const middle = rpax.theme().dark ? "#3a424d" : "#f4f4f2";
    let stops = VIRIDIS.map(rgb);
    if (metric === "drop") {
      stops = ["#1f6fb4", "#7fb3dd", middle, "#f0a35e", "#c2500a"].map(rgb);
      high = Math.max(Math.abs(low), Math.abs(high), 1e-9);
      low = -high;
    } else if (metric === "gap") {
      stops = (rpax.theme().dark ? ["#3a424d", "#8a5a2b", "#e08a35", "#ffd9a0"] : ["#f4f4f2", "#f3c58b", "#d9771b", "#7c3606"]).map(rgb);
      low = 0;
      high = Math.max(high, 1e-9);
    }
    const colour = (value) => {
      const found = along(stops, high > low ? (value - low) / (high - low) : 0.5);
      const bright = luminance(found);
      const ink = (bright + 0.05) / 0.05 >= 1.05 / (bright + 0.05) ? "#000000" : "#ffffff";
      return { background: `rgb(${found.map(Math.round).join(' ')})`, ink };
    };
    return Object.assign(colour, { low, high, gradient: stops.map((stop) => `rgb(${stop.join(' ')})`).join(", ") });
  };

  // ---- the page

  rpax.views.grid = function (overview, route) {
    const line = overview.grids.find((grid) => grid.id === route.id);
    if (!line) return rpax.nothingHere("grid");
    const { found, error } = rpax.data.want(`grid/${route.id}`, line.version);
    const head = [
      h("h1", { key: "title", tabindex: "-1" }, `Cross-play in ${line.environment}`),
      h("p", { key: "about", class: "facts" }, h("span", { class: "muted" }, line.agents ? `${line.agents} agents, ${line.about}` : line.about), rpax.playedBar(line)),
      line.problem || error ? h("p", { key: "problem", class: "warn" }, line.problem || error) : null,
      ((found && found.left_out) || []).map((its) => h("p", { key: `out ${its.run}`, class: "warn small" }, `${its.run} is left out: ${its.reason}`)),
    ];
    if (!found || !found.values) return [...head, line.problem ? null : h("p", { key: "wait", class: "muted" }, "No cell is played yet.")];
    const asked = readQuery(route.query, found);
    return [
      ...head,
      h("div", { key: "split", class: `split${asked.cell ? " chosen" : ""}${asked.cell && asked.other ? " comparing" : ""}` },
        h("section", { key: "grid", class: "grid-side", "aria-label": "grid" }, tools(asked), heatmap(found, asked), legendOf(found, asked), metricsTable(found)),
        h("section", { key: "cell", class: "cell-side", "aria-label": "chosen cell" }, rpax.cellPanel(line, found, asked))),
    ];
  };

  function readQuery(query, grid) {
    const count = grid.agents.length;
    const within = (row, column) => (row >= 0 && row < count && column >= 0 && column < count ? [row, column] : null);
    const pair = (text) => (/^\d{1,4},\d{1,4}$/.test(text || "") ? within(...text.split(",").map(Number)) : null);
    const choice = (value, options, first) => (options.some(([each]) => each === value) ? value : first);
    return {
      metric: choice(query.metric, METRICS, "mean"),
      seat: choice(query.seat, SEATS, "both"),
      pick: choice(query.pick, rpax.data.overview.picks.map((pick) => [pick]), "median"),
      cell: pair(`${query.row},${query.column}`),
      other: pair(query.with),
      step: query.step,
      comparing: rpax.comparing === location.hash.split("?")[0],
    };
  }

  function tools(asked) {
    return h("div", { key: "tools", class: "tools" },
      rpax.choice("what cells show", METRICS, asked.metric, (metric) => rpax.go({ metric })),
      rpax.choice("whose return", SEATS, asked.seat, (seat) => rpax.go({ seat })),
      h("p", { class: "muted small" }, EXPLAINED[asked.metric]));
  }

  function heatmap(grid, asked) {
    const order = grid.order;
    const cells = order.map((row) => order.map((column) => rpax.cellValue(grid, asked.metric, asked.seat, row, column)));
    const colour = rpax.colours(cells.flat().map((cell) => cell.value), asked.metric);
    const starts = new Set(order.map((_, place) => place).filter((place) => place && grid.agents[order[place]].group !== grid.agents[order[place - 1]].group));
    return h("div", { key: "heatmap", island: Heatmap, spec: { grid, asked, order, cells, colour, starts, theme: rpax.theme().dark } });
  }

  const METRIC_WORDS = { mean: (seat) => `mean return of ${seat}`, drop: (seat) => `self-play minus cross-play of ${seat}`, gap: (seat) => `rationality gap in ${seat}` };
  const seatWords = (seat) => (seat === "both" ? "both seats" : `seat ${seat}`);

  /** The table of cells. One of them takes part in tabbing, arrow keys go to its neighbours. */
  class Heatmap {
    constructor(node) {
      this.node = node;
      node.classList.add("heatmap");
      this.place = [0, 0];
      this.hover = null;
      this.observer = new ResizeObserver(() => this.draw());
      this.observer.observe(node);
    }

    destroy() {
      this.observer.disconnect();
    }

    update(spec) {
      this.spec = spec;
      const { asked, order } = spec;
      if (asked.cell && JSON.stringify(asked.cell) !== this.followed) {
        this.place = asked.cell.map((agent) => order.indexOf(agent));
        this.followed = JSON.stringify(asked.cell);
      }
      this.place = this.place.map((place) => Math.max(0, Math.min(order.length - 1, place)));
      this.draw();
    }

    draw() {
      if (!this.spec) return;
      const { grid, asked, order, starts } = this.spec;
      const count = order.length;
      const names = order.map((agent) => grid.agents[agent].short);
      const longest = Math.min(16, Math.max(...names.map((name) => name.length)));
      const room = Math.max(this.node.clientWidth - longest * 7.8 - 34 - 4 * starts.size - count, 100);
      const size = Math.floor(Math.max(26, Math.min(56, room / count)));
      rpax.render(this.node, [
        h("div", { key: "scroll", class: "scroll" },
          h("table", {
            role: "grid", "aria-label": `cross-play, ${METRIC_WORDS[asked.metric](seatWords(asked.seat))}; rows are seat 0, columns seat 1`,
            "aria-rowcount": count + 1, "aria-colcount": count + 1,
            class: `cells${size < 34 ? ' narrow' : ''}`, style: { "--cell": `${size}px` },
            onkeydown: (event) => this.key(event), onpointerleave: () => this.tell(null), onfocusout: () => this.tell(null),
          },
            h("thead", null, this.groupRow(), h("tr", null, h("td", { class: "corner" }, h("span", { class: "seat0" }, "seat 0"), " \\ ", h("span", { class: "seat1" }, "seat 1")),
              names.map((name, place) => h("th", { key: place, scope: "col", class: edge(starts, place, "left"), title: grid.agents[order[place]].name }, h("span", null, name))))),
            h("tbody", null, names.map((name, row) => h("tr", { key: row },
              h("th", { scope: "row", class: edge(starts, row, "top"), title: grid.agents[order[row]].name }, h("span", null, name)),
              names.map((_, column) => this.cell(row, column))))))),
        h("div", { key: "tip", class: "tip", role: "status", hidden: this.hover === null }, this.hover === null ? "" : this.words(...this.hover)),
      ]);
      this.placeTip();
    }

    groupRow() {
      const { grid, order } = this.spec;
      const groups = [];
      order.forEach((agent, place) => {
        const group = grid.agents[agent].group;
        if (groups.length && groups[groups.length - 1].group === group) groups[groups.length - 1].size += 1;
        else groups.push({ group, size: 1, place });
      });
      return h("tr", { class: "groups" }, h("td", null), groups.map((its) => h("th", { key: its.place, scope: "colgroup", colspan: its.size, class: its.place ? "edge-left" : "" }, h("span", null, its.group))));
    }

    cell(row, column) {
      const { cells, colour, asked, order, starts } = this.spec;
      const found = cells[row][column];
      const look = found.value === null ? null : colour(found.value);
      const is = (pair) => pair && pair[0] === order[row] && pair[1] === order[column];
      const focused = row === this.place[0] && column === this.place[1];
      const marks = (is(asked.cell) ? " chosen" : "") + (is(asked.other) ? " other" : "") + edge(starts, row, "top") + edge(starts, column, "left");
      return h("td", {
        key: column, role: "gridcell", tabindex: focused ? "0" : "-1", class: `cell${look ? '' : ' empty'}${marks}`,
        "aria-label": this.words(row, column), "aria-selected": String(Boolean(is(asked.cell))),
        style: look ? { "background-color": look.background, color: look.ink } : {},
        onclick: (event) => this.choose(row, column, event.shiftKey),
        onfocus: () => { this.place = [row, column]; this.tell([row, column]); },
        onpointerenter: () => this.tell([row, column]),
      }, h("span", { "aria-hidden": "true" }, look ? rpax.short(found.value) : ""));
    }

    words(row, column) {
      const { grid, cells, asked, order } = this.spec;
      const found = cells[row][column];
      const [first, second] = [grid.agents[order[row]], grid.agents[order[column]]];
      const unknown = asked.metric === "gap" ? "not known, rpax certify finds it" : "not played";
      const value = found.value === null ? unknown : asked.metric === "gap" ? gapText(found.value) : rpax.short(found.value);
      const interval = found.low === null ? "" : `, 95 % interval ${rpax.short(found.low)} to ${rpax.short(found.high)}`;
      return `${first.short} with ${second.short}: ${METRIC_WORDS[asked.metric](seatWords(asked.seat))} ${value}${interval}`;
    }

    tell(hover) {
      this.hover = hover;
      const tip = this.node.querySelector(".tip");
      if (!tip) return;
      tip.hidden = hover === null;
      rpax.render(tip, hover === null ? [] : [this.words(...hover)]);
      this.placeTip();
    }

    placeTip() {
      const tip = this.node.querySelector(".tip");
      if (this.hover === null || !tip) return;
      const cell = this.at(...this.hover);
      if (!cell) return;
      const outer = this.node.getBoundingClientRect();
      const inner = cell.getBoundingClientRect();
      const left = Math.max(0, Math.min(outer.width - tip.offsetWidth, inner.left + inner.width / 2 - outer.left - tip.offsetWidth / 2));
      tip.style.left = `${left}px`;
      tip.style.top = `${inner.bottom - outer.top + 8}px`;
    }

    at(row, column) {
      const line = this.node.querySelectorAll("tbody tr")[row];
      return line ? line.querySelectorAll("td.cell")[column] : null;
    }

    key(event) {
      const last = this.spec.order.length - 1;
      let [row, column] = this.place;
      const moves = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], Home: [event.ctrlKey ? 0 : row, 0], End: [event.ctrlKey ? last : row, last], PageUp: [0, column], PageDown: [last, column] };
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.choose(row, column, event.shiftKey);
        return;
      }
      if (event.key === "Escape") this.tell(null);
      if (!moves[event.key]) return;
      event.preventDefault();
      [row, column] = moves[event.key].map((place) => Math.max(0, Math.min(last, place)));
      this.place = [row, column];
      this.draw();
      this.at(row, column).focus();
    }

    /** Show a cell; with shift, or after `Compare`, beside the chosen one. */
    choose(row, column, beside) {
      const { asked, order } = this.spec;
      const cell = [order[row], order[column]];
      this.place = [row, column];
      if (asked.cell && (beside || asked.comparing)) {
        rpax.comparing = null;
        rpax.go({ with: cell.join(",") });
      } else rpax.go({ row: String(cell[0]), column: String(cell[1]), step: null });
    }
  }

  const edge = (starts, place, side) => (starts.has(place) ? ` edge-${side}` : "");
  const gapText = (value) => (Math.abs(value) < 1e-12 ? "0" : value.toPrecision(2));

  function legendOf(grid, asked) {
    const values = grid.order.flatMap((row) => grid.order.map((column) => rpax.cellValue(grid, asked.metric, asked.seat, row, column).value));
    const colour = rpax.colours(values, asked.metric);
    if (values.every((value) => value === null)) {
      return h("p", { key: "scale", class: "muted" }, asked.metric === "gap" ? "No gap is known: exact gaps come with matrix games, `rpax certify RUN` finds others." : "Nothing is known yet.");
    }
    return h("div", { key: "scale", class: "scale" }, h("span", null, rpax.short(colour.low)), h("span", { class: "ramp", style: { background: `linear-gradient(to right, ${colour.gradient})` } }), h("span", null, rpax.short(colour.high)));
  }

  function metricsTable(grid) {
    if (!grid.metrics) return null;
    const columns = [["self_play", "self-play"], ["strict_metric", "different seeds"], ["gap", "SP \u2212 XP"], ["paper_metric", "the paper's way"]];
    return h("details", { key: "metrics", open: true }, h("summary", null, "Metrics of every group"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "metrics of every group" },
        h("table", null,
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "group"), h("th", { scope: "col" }, "agents"), h("th", { scope: "col" }, "seeds"), columns.map(([, name]) => h("th", { scope: "col" }, name)))),
          h("tbody", null, grid.metrics.map((its) => h("tr", { key: its.group }, h("th", { scope: "row" }, its.group), h("td", null, its.agents), h("td", null, its.seeds),
            columns.map(([name]) => h("td", null, its[name] ? rpax.interval(...its[name]) : "–"))))))),
      h("p", { class: "muted small" }, "Returns are means of both seats, with 95 % intervals over seeds where there are several."));
  }
})(window.rpax);
