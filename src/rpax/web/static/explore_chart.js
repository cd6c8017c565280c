/** Learning curves: lines with bands, values under the pointer or the arrow keys, drawn as SVG. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const MARGIN = { right: 14, top: 12, bottom: 34 };
  const DASHES = ["", "7 3", "2 3", "8 3 2 3"];
  const COLOURS = 8;

  /** The classes of the nth line: its colour, then its dashes. */
  rpax.lineLook = function (number) {
    return {
      class: `line c${number % COLOURS}`,
      "stroke-dasharray": DASHES[Math.floor(number / COLOURS) % DASHES.length],
    };
  };

  /**
   * A chart that fills its element.
   * Spec: `label`, `yLabel`, `updates`, `lines` (name, look number, mean, low, high, seeds), `seeds` (whether each is
   * drawn), `range` ([low, high] or null).
   */
  rpax.LineChart = class {
    constructor(node) {
      this.node = node;
      this.at = null;
      node.classList.add("chart");
      this.observer = new ResizeObserver(() => this.draw());
      this.observer.observe(node);
    }

    update(spec) {
      if (this.spec === spec) return;
      this.spec = spec;
      this.draw();
    }

    destroy() {
      this.observer.disconnect();
    }

    draw() {
      const { spec, node } = this;
      const width = Math.max(node.clientWidth, 200);
      const height = Math.round(Math.min(340, Math.max(210, width * 0.5)));
      const y = scale(spec.range || extent(spec), height - MARGIN.bottom, MARGIN.top);
      const left = 32 + 7 * Math.max(...y.ticks(5).map((tick) => tickText(tick).length));
      const x = scale([spec.updates[0], spec.updates[spec.updates.length - 1]], left, width - MARGIN.right);
      this.x = x;
      rpax.render(node, [
        h(
          "svg",
          {
            key: "svg",
            width,
            height,
            viewBox: `0 0 ${width} ${height}`,
            role: "img",
            tabindex: "0",
            "aria-label": spec.label,
            onpointermove: (event) => this.point(event.clientX - node.getBoundingClientRect().left),
            onpointerleave: () => this.show(null),
            onblur: () => this.show(null),
            onkeydown: (event) => this.key(event),
          },
          axes(x, y, left, width, height, spec),
          spec.lines.map((line) => h("g", { key: line.key }, drawn(line, spec, x, y))),
        ),
        h("div", { key: "tip", class: "tip", "aria-hidden": "true" }),
      ]);
      this.show(this.at);
    }

    key(event) {
      const last = this.spec.updates.length - 1;
      const from = this.at === null ? last : this.at;
      const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.show(Math.max(0, Math.min(last, to)));
    }

    point(pixel) {
      const { updates } = this.spec;
      const wanted = this.x.inverse(pixel);
      let nearest = 0;
      updates.forEach((update, place) => {
        if (Math.abs(update - wanted) < Math.abs(updates[nearest] - wanted)) nearest = place;
      });
      this.show(nearest);
    }

    /** Show the values at one place, or none. */
    show(at) {
      this.at = at !== null && at < this.spec.updates.length ? at : null;
      const svg = this.node.querySelector("svg");
      const tip = this.node.querySelector(".tip");
      const old = svg.querySelector(".cross");
      if (old) old.remove();
      tip.hidden = this.at === null;
      if (this.at === null) return;
      const pixel = this.x(this.spec.updates[this.at]);
      const cross = document.createElementNS(svg.namespaceURI, "line");
      const height = Number(svg.getAttribute("height"));
      const ends = { x1: pixel, x2: pixel, y1: MARGIN.top, y2: height - MARGIN.bottom, class: "cross" };
      for (const name of Object.keys(ends)) cross.setAttribute(name, ends[name]);
      svg.append(cross);
      const shown = this.spec.lines.slice(0, 12);
      rpax.render(tip, [
        h("b", { key: "update" }, `update ${rpax.count(this.spec.updates[this.at])}`),
        shown.map((line) =>
          h(
            "div",
            { key: line.key },
            swatch(line.look),
            " ",
            line.name,
            " ",
            h(
              "span",
              { class: "figure" },
              rpax.interval(line.mean[this.at], low(line, this.at), high(line, this.at)),
            ),
          ),
        ),
        this.spec.lines.length > shown.length
          ? h("div", { key: "more" }, `and ${this.spec.lines.length - shown.length} more`)
          : null,
      ]);
      const right = pixel > Number(svg.getAttribute("width")) / 2;
      tip.style.left = right ? "auto" : `${pixel + 10}px`;
      tip.style.right = right ? `${Number(svg.getAttribute("width")) - pixel + 10}px` : "auto";
    }
  };

  const low = (line, at) => (line.low ? line.low[at] : null);
  const high = (line, at) => (line.high ? line.high[at] : null);

  function swatch(number) {
    return h(
      "svg",
      { class: "swatch", width: 18, height: 8, "aria-hidden": "true" },
      h("path", { ...rpax.lineLook(number), d: "M1 4H17" }),
    );
  }
  rpax.swatch = swatch;

  function axes(x, y, left, width, height, spec) {
    const bottom = height - MARGIN.bottom;
    return [
      h(
        "g",
        { key: "y", class: "axis" },
        y
          .ticks(5)
          .map((tick) => [
            h("line", { key: "l" + tick, x1: left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
            h("text", { key: "t" + tick, x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tickText(tick)),
          ]),
        h(
          "text",
          {
            key: "label",
            class: "label",
            transform: `translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)`,
            "text-anchor": "middle",
          },
          spec.yLabel,
        ),
      ),
      h(
        "g",
        { key: "x", class: "axis" },
        x
          .ticks(Math.max(2, Math.min(6, Math.floor(width / 90))), true)
          .map((tick) =>
            h(
              "text",
              { key: "t" + tick, x: x(tick), y: bottom + 18, "text-anchor": "middle" },
              rpax.count(tick),
            ),
          ),
        h(
          "text",
          {
            key: "label",
            class: "label",
            x: (left + width - MARGIN.right) / 2,
            y: height - 2,
            "text-anchor": "middle",
          },
          "update",
        ),
      ),
    ];
  }

  function drawn(line, spec, x, y) {
    const look = rpax.lineLook(line.look);
    const places = spec.updates.map((update) => x(update));
    const parts = [];
    if (line.low)
      parts.push(
        h("path", {
          key: "band",
          class: look.class.replace("line", spec.lines.length > 5 ? "faint band" : "band"),
          d: area(places, line.low, line.high, y),
        }),
      );
    if (spec.seeds && line.seeds) {
      for (const seed of Object.keys(line.seeds)) {
        parts.push(
          h("path", {
            key: "seed" + seed,
            class: look.class + " seed",
            d: path(places, line.seeds[seed], y),
          }),
        );
      }
    }
    parts.push(h("path", { key: "mean", ...look, d: path(places, line.mean, y) }));
    if (spec.updates.length === 1 && line.mean[0] !== null) {
      parts.push(
        h("circle", {
          key: "dot",
          class: look.class.replace("line", "dot"),
          cx: places[0],
          cy: y(line.mean[0]),
          r: 3.5,
        }),
      );
    }
    return parts;
  }

  function path(places, values, y) {
    let open = false;
    return places
      .map((place, at) => {
        if (values[at] === null) {
          open = false;
          return "";
        }
        const command = open ? "L" : "M";
        open = true;
        return `${command}${place.toFixed(1)} ${y(values[at]).toFixed(1)}`;
      })
      .join("");
  }

  function area(places, lows, highs, y) {
    const parts = [];
    let from = 0;
    for (let at = 0; at <= places.length; at += 1) {
      if (at < places.length && lows[at] !== null && highs[at] !== null) continue;
      if (at > from) {
        const above = places
          .slice(from, at)
          .map((place, i) => `${place.toFixed(1)} ${y(highs[from + i]).toFixed(1)}`);
        const below = places
          .slice(from, at)
          .map((place, i) => `${place.toFixed(1)} ${y(lows[from + i]).toFixed(1)}`);
        parts.push(`M${above.concat(below.reverse()).join("L")}Z`);
      }
      from = at + 1;
    }
    return parts.join("");
  }

  function extent(spec) {
    let least = Infinity;
    let most = -Infinity;
    for (const line of spec.lines) {
      for (const values of [line.mean, line.low, line.high]) {
        for (const value of values || []) {
          if (value === null) continue;
          least = Math.min(least, value);
          most = Math.max(most, value);
        }
      }
    }
    if (least > most) return [0, 1];
    const room = most > least ? 0.05 * (most - least) : Math.max(0.5, 0.1 * Math.abs(most));
    return [least - room, most + room];
  }

  /** From a domain to pixels, with its inverse and round numbers in it. */
  function scale([from, to], first, last) {
    const width = to > from ? to - from : 1;
    const place = (value) =>
      to > from ? first + ((value - from) / width) * (last - first) : (first + last) / 2;
    place.inverse = (pixel) => from + ((pixel - first) / (last - first)) * width;
    place.ticks = (count, whole) => {
      if (!(to > from)) return [from];
      const rough = width / count;
      const power = 10 ** Math.floor(Math.log10(rough));
      let step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) || power;
      if (whole) step = Math.max(1, step);
      const ticks = [];
      for (let tick = Math.ceil(from / step) * step; tick <= to + step * 1e-9; tick += step)
        ticks.push(Number(tick.toPrecision(12)));
      return ticks;
    };
    return place;
  }

  function tickText(value) {
    return String(value).replace("-", "\u2212");
  }

  /** The values of a chart as a table, a row for each of at most so many updates. */
  rpax.chartTable = function (spec, most = 40) {
    const step = Math.ceil(spec.updates.length / most);
    const places = spec.updates
      .map((_, at) => at)
      .filter((at) => (spec.updates.length - 1 - at) % step === 0);
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${spec.label}: values` },
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col" }, "update"),
            spec.lines.map((line) => h("th", { scope: "col" }, line.name)),
          ),
        ),
        h(
          "tbody",
          null,
          places.map((at) =>
            h(
              "tr",
              { key: spec.updates[at] },
              h("th", { scope: "row" }, rpax.count(spec.updates[at])),
              spec.lines.map((line) =>
                h("td", null, rpax.interval(line.mean[at], low(line, at), high(line, at))),
              ),
            ),
          ),
        ),
      ),
    );
  };
})(window.rpax);
