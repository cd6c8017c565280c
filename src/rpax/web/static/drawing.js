/* Shapes, text and colours for drawing on canvases, and the current theme. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;

  /** The colours of pages that renderers read, by the name of their CSS variable. */
  const NAMES = ["paper", "panel", "raised", "ink", "muted", "faint", "line", "accent", "good", "bad", "warm"];
  let current = null;
  const watchers = new Set();

  /** Whether the page is dark: as data-theme on <html> says, else as the reader's system does. */
  function isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  }

  /**
   * The theme in use; read from the style sheet once, and again after it changed.
   * @returns {{dark: boolean, seats: string[], seatTexts: string[], font: string}} with a colour for each of NAMES.
   */
  rpax.theme = function theme() {
    if (current === null) {
      const style = window.getComputedStyle(document.documentElement);
      const read = (name) => style.getPropertyValue(`--${name}`).trim();
      current = { dark: isDark(), font: read("sans") || "sans-serif" };
      for (const name of NAMES) current[name] = read(name) || "#888888";
      current.seats = ["#0072B2", "#D55E00"].map((known, seat) => read(`seat-${seat}`) || known);
      current.seatTexts = current.seats.map((known, seat) => read(`seat-${seat}-text`) || known);
    }
    return current;
  };

  /**
   * Call `watcher` whenever the theme changes.
   * @returns {() => void} ends that.
   */
  rpax.onTheme = function onTheme(watcher) {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  };

  function changed() {
    current = null;
    for (const watcher of watchers) watcher();
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  function channels(colour) {
    return [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  }

  const shapes = {
    /** `colour` (#rrggbb) with `share` of `other` in it. */
    mix(colour, other, share) {
      const [a, b] = [channels(colour), channels(other)];
      return "#" + a.map((x, i) => Math.round(x + (b[i] - x) * share).toString(16).padStart(2, "0")).join("");
    },

    /** `colour` (#rrggbb), partly transparent. */
    faded(colour, alpha) {
      return `rgba(${channels(colour).join(",")},${alpha})`;
    },

    paint(c, fill, edge, line) {
      if (fill) {
        c.fillStyle = fill;
        c.fill();
      }
      if (edge) {
        c.strokeStyle = edge;
        c.lineWidth = line;
        c.stroke();
      }
    },

    /** A rectangle with round corners. */
    box(c, x, y, width, height, radius, fill, edge, line = 1) {
      c.beginPath();
      c.roundRect(x, y, width, height, Math.max(Math.min(radius, width / 2, height / 2), 0));
      shapes.paint(c, fill, edge, line);
    },

    disc(c, x, y, radius, fill, edge, line = 1) {
      c.beginPath();
      c.arc(x, y, Math.max(radius, 0), 0, 2 * Math.PI);
      shapes.paint(c, fill, edge, line);
    },

    /** Part of a ring, clockwise from the top. */
    ring(c, x, y, radius, share, colour, line) {
      if (share <= 0) return;
      c.beginPath();
      c.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * Math.min(share, 1));
      c.lineCap = share >= 1 ? "butt" : "round";
      shapes.paint(c, null, colour, line);
      c.lineCap = "butt";
    },

    /** A line through points. */
    stroke(c, points, colour, line) {
      c.beginPath();
      points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
      c.lineCap = "round";
      c.lineJoin = "round";
      shapes.paint(c, null, colour, line);
      c.lineCap = "butt";
    },

    polygon(c, points, fill, edge, line = 1) {
      c.beginPath();
      points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
      c.closePath();
      c.lineJoin = "round";
      shapes.paint(c, fill, edge, line);
    },

    /** An arrowhead within a circle, pointing along (across, down). */
    arrow(c, x, y, radius, across, down, fill, edge, line = 1) {
      const angle = Math.atan2(down, across);
      const corners = [[0, 1], [2.45, 1], [Math.PI, 0.42], [-2.45, 1]];
      const place = ([turn, far]) => [
        x + radius * far * Math.cos(angle + turn),
        y + radius * far * Math.sin(angle + turn),
      ];
      shapes.polygon(c, corners.map(place), fill, edge, line);
    },

    /** One line of text; `most` shrinks it to that width. */
    text(c, text, x, y, size, colour, { align = "left", weight = 400, most = Infinity } = {}) {
      c.fillStyle = colour;
      c.textAlign = align;
      c.textBaseline = "middle";
      c.font = `${weight} ${size}px ${rpax.theme().font}`;
      const width = c.measureText(text).width;
      if (width > most) c.font = `${weight} ${Math.max((size * most) / width, 1)}px ${rpax.theme().font}`;
      c.fillText(text, x, y);
    },

    /** The width of one line of text. */
    width(c, text, size, weight = 400) {
      c.font = `${weight} ${size}px ${rpax.theme().font}`;
      return c.measureText(text).width;
    },
  };
  rpax.shapes = shapes;

  /** A number as people read it: four digits, a real minus sign. */
  rpax.number = function number(value) {
    return String(Number(value.toPrecision(4))).replace("-", "−");
  };
})();
