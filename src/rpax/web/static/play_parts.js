/* Building blocks of the page on which people play: elements, icons, light and dark. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  const SVG = "http://www.w3.org/2000/svg";

  /**
   * An element. Text is always set as text.
   * @param {string} tag
   * @param {object} [props] attributes; `onclick` and the like are listeners, `text` is its text.
   * @param {...(Node|string|null)} children
   */
  rpax.element = function element(tag, props = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name === "text") made.textContent = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  /** Paths in a square of 24, drawn with round strokes. */
  const ICONS = {
    pause: "M8 5v14M16 5v14",
    go: "M7 4l13 8-13 8z",
    again: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
    swap: "M4 8h14l-4-4M20 16H6l4 4",
    sun: "M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6l1.4 1.4M17 17l1.4 1.4M18.4 5.6L17 7M7 17l-1.4 1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
    up: "M12 20V5M5 12l7-7 7 7",
    down: "M12 4v15M5 12l7 7 7-7",
    left: "M20 12H5M12 5l-7 7 7 7",
    right: "M4 12h15M12 5l7 7-7 7",
    turnleft: "M20 19v-5a6 6 0 0 0-6-6H5M10 3L5 8l5 5",
    turnright: "M4 19v-5a6 6 0 0 1 6-6h9M14 3l5 5-5 5",
    wait: "M12 6v6l4 3M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  };

  /** A small picture, which says nothing to those who cannot see it. */
  rpax.icon = function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  };

  const THEME = "rpax theme";

  function stored(value) {
    try {
      if (value === undefined) return window.localStorage.getItem(THEME);
      window.localStorage.setItem(THEME, value);
    } catch (error) {
      // Where nothing may be stored, the choice holds for this page.
    }
    return null;
  }

  const before = stored();
  if (before === "light" || before === "dark") document.documentElement.dataset.theme = before;

  /** Light colours instead of dark ones, or the other way round. */
  rpax.swapTheme = function swapTheme() {
    const theme = rpax.theme().dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    stored(theme);
  };
})();
