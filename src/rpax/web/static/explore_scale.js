/** What a cell of a grid shows: its value by metric and seat, and the colour of a value. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  // Equal steps of colour look like equal steps of value, to colour-blind people too (points of matplotlib's viridis).
  const VIRIDIS = [
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
  ];

  /** Whether one can sit in seat 0 and the other in seat 1. */
  rpax.canMeet = (row, column) => row.seats.includes(0) && column.seats.includes(1);

  /** The value of a cell and its interval: {value, low, high}, nulls where they are not known. */
  rpax.cellValue = function (grid, metric, seat, row, column) {
    const none = { value: null, low: null, high: null };
    const at = (name, r, c) => grid.values[seat][name][r][c];
    if (metric === "gap") {
      if (!rpax.canMeet(grid.agents[row], grid.agents[column])) return none;
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
  const luminance = (colour) =>
    colour
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
      stops = (
        rpax.theme().dark
          ? ["#3a424d", "#8a5a2b", "#e08a35", "#ffd9a0"]
          : ["#f4f4f2", "#f3c58b", "#d9771b", "#7c3606"]
      ).map(rgb);
      low = 0;
      high = Math.max(high, 1e-9);
    }
    const colour = (value) => {
      const found = along(stops, high > low ? (value - low) / (high - low) : 0.5);
      const bright = luminance(found);
      const ink = (bright + 0.05) / 0.05 >= 1.05 / (bright + 0.05) ? "#000000" : "#ffffff";
      return { background: `rgb(${found.map(Math.round).join(" ")})`, ink };
    };
    return Object.assign(colour, {
      low,
      high,
      gradient: stops.map((stop) => `rgb(${stop.join(" ")})`).join(", "),
    });
  };
})(window.rpax);
