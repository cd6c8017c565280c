/**
 * A page as a function of its data: descriptions of elements, and changing the document as little as needed so that
 * focus, scroll and selection stay. Text is always set as text, never as HTML.
 */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const PROPERTIES = new Set(["value", "checked", "disabled", "open", "selected", "tabIndex"]);

  /**
   * Describe an element.
   * @param {string} tag - its name; `svg` and what is inside become SVG.
   * @param {?Object} props - attributes, `onclick`… handlers, `style` as an object, `key`, and for parts of the page
   *     that draw themselves `island` (a class with `update(spec)` and `destroy()`) and `spec`.
   * @param {...*} children - descriptions, text, or lists of these; nothing for null and false.
   */
  rpax.h = function (tag, props, ...children) {
    const kept = children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false);
    return { tag, props: props || {}, children: kept };
  };

  /** Make the children of an element what is described. */
  rpax.render = function (parent, children) {
    const wanted = [children]
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false);
    const keyed = new Map();
    const free = new Map();
    for (const node of parent.childNodes) {
      const made = node.rpaxMade;
      if (made && made.props.key !== undefined) keyed.set(made.tag + " " + made.props.key, node);
      else {
        const kind = node.nodeType === Node.TEXT_NODE ? "#text" : made ? made.tag : "#foreign";
        if (!free.has(kind)) free.set(kind, []);
        free.get(kind).push(node);
      }
    }
    const nodes = wanted.map((child) => {
      const isText = typeof child !== "object";
      let node;
      if (isText) node = (free.get("#text") || []).shift();
      else if (child.props.key !== undefined) {
        node = keyed.get(child.tag + " " + child.props.key);
        keyed.delete(child.tag + " " + child.props.key);
      } else node = (free.get(child.tag) || []).shift();
      if (isText) {
        if (!node) return document.createTextNode(String(child));
        if (node.nodeValue !== String(child)) node.nodeValue = String(child);
        return node;
      }
      return patch(node || create(child, parent), child);
    });
    for (const rest of [...keyed.values(), ...[...free.values()].flat()]) remove(rest);
    let place = parent.firstChild;
    for (const node of nodes) {
      if (node === place) place = place.nextSibling;
      else parent.insertBefore(node, place);
    }
  };

  function create(made, parent) {
    const inside = parent.namespaceURI === SVG && parent.tagName.toLowerCase() !== "foreignobject";
    const node =
      made.tag === "svg" || inside
        ? document.createElementNS(SVG, made.tag)
        : document.createElement(made.tag);
    node.rpaxMade = { tag: made.tag, props: {} };
    return node;
  }

  function patch(node, made) {
    const before = node.rpaxMade.props;
    const after = made.props;
    for (const name of Object.keys(before)) if (!(name in after)) set(node, name, null, before[name]);
    node.rpaxMade = made;
    if (!after.island) rpax.render(node, made.children);
    // After the children: the value of a select is one of its options.
    for (const name of Object.keys(after))
      if (before[name] !== after[name]) set(node, name, after[name], before[name]);
    if (after.island) {
      if (!node.rpaxIsland) node.rpaxIsland = new after.island(node);
      node.rpaxIsland.update(after.spec);
    }
    return node;
  }

  function set(node, name, value, before) {
    if (name === "key" || name === "island" || name === "spec") return;
    if (name.startsWith("on")) node[name] = value;
    else if (name === "style") {
      for (const part of Object.keys(before || {}))
        if (!value || !(part in value)) node.style.removeProperty(part);
      for (const part of Object.keys(value || {})) node.style.setProperty(part, value[part]);
    } else if (PROPERTIES.has(name)) {
      if (value === null) node.removeAttribute(name.toLowerCase());
      else if (node[name] !== value) node[name] = value;
    } else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value))
      node.setAttribute(name, value === true ? "" : String(value));
  }

  function remove(node) {
    if (node.nodeType === Node.ELEMENT_NODE) {
      for (const each of [node, ...node.querySelectorAll("*")]) {
        if (each.rpaxIsland) each.rpaxIsland.destroy();
        each.rpaxIsland = null;
      }
    }
    node.remove();
  }

  /** A number as tables show it: 240, 15.3, 1.65, −0.6; an en dash for none. */
  rpax.short = function (value) {
    if (value === null || value === undefined || !isFinite(value)) return "–";
    const size = Math.abs(value);
    const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    return value
      .toFixed(digits)
      .replace("-", "\u2212")
      .replace(/^\u2212(0(\.0+)?)$/, "$1");
  };

  /** A number of steps or updates, with thin spaces between thousands. */
  rpax.count = function (value) {
    return value === null || value === undefined
      ? "–"
      : String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  };

  /** `1 step`, `2 steps`. */
  rpax.several = (count, what) => `${rpax.count(count)} ${what}${count === 1 ? "" : "s"}`;

  /** `1.65 [1.50, 1.80]`, without an interval that is not known. */
  rpax.interval = function (mean, low, high) {
    const known = low !== null && high !== null && low !== undefined && high !== undefined;
    const text = rpax.short(mean);
    return known && mean !== null ? `${text} [${rpax.short(low)}, ${rpax.short(high)}]` : text;
  };

  const THEME = "rpax theme";

  /** Light or dark colours from here on, whatever the system says. */
  rpax.setTheme = function (theme) {
    document.documentElement.dataset.theme = theme;
    try {
      window.localStorage.setItem(THEME, theme);
    } catch (error) {
      // Where nothing may be stored, it holds for this page.
    }
  };

  try {
    const stored = window.localStorage.getItem(THEME);
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
  } catch (error) {
    // Nothing may be stored here: the system's colours.
  }

  /** A few buttons of which one is pressed. */
  rpax.choice = function (label, options, chosen, choose) {
    const h = rpax.h;
    return h(
      "div",
      { class: "choice", role: "group", "aria-label": label },
      options.map(([value, text]) =>
        h(
          "button",
          {
            key: value,
            type: "button",
            "aria-pressed": String(value === chosen),
            onclick: () => choose(value),
          },
          text,
        ),
      ),
    );
  };
})(window.rpax);
