/** The cells of a grid: chosen by pointer or keys, told of in words. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const METRIC_WORDS = {
    mean: (seat) => `mean return of ${seat}`,
    drop: (seat) => `self-play minus cross-play of ${seat}`,
    gap: (seat) => `rationality gap in ${seat}`,
  };
  const seatWords = (seat) => (seat === "both" ? "both seats" : `seat ${seat}`);

  // Where there is little room for labels, in pixels.
  const NARROW = 500;

  /** Names of at most so many signs, cut in the middle, as it is their ends that differ; whole if that made some alike. */
  function labels(names, most) {
    const head = Math.floor(most / 3);
    const cut = names.map((name) =>
      name.length > most ? `${name.slice(0, head)}\u2026${name.slice(name.length - (most - head - 1))}` : name,
    );
    return new Set(cut).size < new Set(names).size ? names : cut;
  }

  /** The table of cells. One of them takes part in tabbing, arrow keys go to its neighbours. */
  rpax.Heatmap = class {
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
      const narrow = this.node.clientWidth < NARROW;
      const names = (which) =>
        labels(
          order.map((agent) => grid.agents[agent][which]),
          narrow ? 14 : 26,
        );
      const columns = names("short");
      // Groups stand above the columns; beside the rows there is no room for them but in the labels.
      const rows = narrow ? columns : names("called");
      const longest = Math.max(...rows.map((name) => name.length));
      const room = Math.max(this.node.clientWidth - longest * 7.8 - 34 - 4 * starts.size - count, 100);
      const size = Math.floor(Math.max(26, Math.min(56, room / count)));
      rpax.render(this.node, [
        h(
          "div",
          { key: "scroll", class: "scroll" },
          h(
            "table",
            {
              role: "grid",
              "aria-label": `cross-play, ${METRIC_WORDS[asked.metric](seatWords(asked.seat))}; rows are seat 0, columns seat 1`,
              "aria-rowcount": count + 1,
              "aria-colcount": count + 1,
              class: `cells${size < 34 ? " narrow" : ""}`,
              style: { "--cell": `${size}px` },
              onkeydown: (event) => this.key(event),
              onpointerleave: () => this.tell(null),
              onfocusout: () => this.tell(null),
            },
            h(
              "thead",
              null,
              this.groupRow(),
              h(
                "tr",
                null,
                h(
                  "td",
                  { class: "corner" },
                  h("span", { class: "seat0" }, "seat 0"),
                  " \\ ",
                  h("span", { class: "seat1" }, "seat 1"),
                ),
                columns.map((name, place) =>
                  h(
                    "th",
                    {
                      key: place,
                      scope: "col",
                      class: edge(starts, place, "left"),
                      title: grid.agents[order[place]].name,
                      "aria-label": grid.agents[order[place]].name,
                    },
                    h("span", null, name),
                  ),
                ),
              ),
            ),
            h(
              "tbody",
              null,
              rows.map((name, row) =>
                h(
                  "tr",
                  { key: row },
                  h(
                    "th",
                    {
                      scope: "row",
                      class: edge(starts, row, "top"),
                      title: grid.agents[order[row]].name,
                      "aria-label": grid.agents[order[row]].name,
                    },
                    h("span", null, name),
                  ),
                  columns.map((_, column) => this.cell(row, column)),
                ),
              ),
            ),
          ),
        ),
        h(
          "div",
          { key: "tip", class: "tip", role: "status", hidden: this.hover === null },
          this.hover === null ? "" : this.words(...this.hover),
        ),
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
      return h(
        "tr",
        { class: "groups" },
        h("td", null),
        groups.map((its) =>
          h(
            "th",
            { key: its.place, scope: "colgroup", colspan: its.size, class: its.place ? "edge-left" : "" },
            h("span", null, its.group),
          ),
        ),
      );
    }

    cell(row, column) {
      const { cells, colour, asked, order, starts } = this.spec;
      const found = cells[row][column];
      const look = found.value === null ? null : colour(found.value);
      const is = (pair) => pair && pair[0] === order[row] && pair[1] === order[column];
      const focused = row === this.place[0] && column === this.place[1];
      const marks =
        (is(asked.cell) ? " chosen" : "") +
        (is(asked.other) ? " other" : "") +
        edge(starts, row, "top") +
        edge(starts, column, "left");
      return h(
        "td",
        {
          key: column,
          role: "gridcell",
          tabindex: focused ? "0" : "-1",
          class: `cell${look ? "" : " empty"}${marks}`,
          "aria-label": this.words(row, column),
          "aria-selected": String(Boolean(is(asked.cell))),
          style: look ? { "background-color": look.background, color: look.ink } : {},
          onclick: (event) => this.choose(row, column, event.shiftKey),
          onfocus: () => {
            this.place = [row, column];
            this.tell([row, column]);
          },
          onpointerenter: () => this.tell([row, column]),
        },
        h("span", { "aria-hidden": "true" }, look ? rpax.short(found.value) : ""),
      );
    }

    words(row, column) {
      const { grid, cells, asked, order } = this.spec;
      const found = cells[row][column];
      const [first, second] = [grid.agents[order[row]], grid.agents[order[column]]];
      const missing = asked.metric === "gap" ? "not known, rpax certify finds it" : "not played";
      const unknown = rpax.canMeet(first, second) ? missing : "none, they cannot meet in these seats";
      const value =
        found.value === null
          ? unknown
          : asked.metric === "gap"
            ? gapText(found.value)
            : rpax.short(found.value);
      const interval =
        found.low === null ? "" : `, 95 % interval ${rpax.short(found.low)} to ${rpax.short(found.high)}`;
      return `${first.called} with ${second.called}: ${METRIC_WORDS[asked.metric](seatWords(asked.seat))} ${value}${interval}`;
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
      const left = Math.max(
        0,
        Math.min(
          outer.width - tip.offsetWidth,
          inner.left + inner.width / 2 - outer.left - tip.offsetWidth / 2,
        ),
      );
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
      const moves = {
        ArrowUp: [row - 1, column],
        ArrowDown: [row + 1, column],
        ArrowLeft: [row, column - 1],
        ArrowRight: [row, column + 1],
        Home: [event.ctrlKey ? 0 : row, 0],
        End: [event.ctrlKey ? last : row, last],
        PageUp: [0, column],
        PageDown: [last, column],
      };
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
  };

  const edge = (starts, place, side) => (starts.has(place) ? ` edge-${side}` : "");
  const gapText = (value) => (Math.abs(value) < 1e-12 ? "0" : value.toPrecision(2));
})(window.rpax);
