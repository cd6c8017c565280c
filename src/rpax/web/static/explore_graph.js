/** An objective's graph: agents as boxes, an arrow from who learns to whom it plays with, its label the weight. */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const h = rpax.h;
  const HEAD = 13;

  /** @param {Object} graph - of /data/run. */
  rpax.objectiveGraph = function (graph) {
    return h(
      "div",
      { class: "scroll graph", tabindex: "0", role: "region", "aria-label": "objective graph" },
      h(
        "svg",
        {
          viewBox: `0 0 ${graph.width} ${graph.height}`,
          width: graph.width,
          height: graph.height,
          // Larger ones are scrolled rather than made too small to be read.
          style: { "min-width": `${Math.round(0.5 * graph.width)}px` },
          role: "img",
          "aria-label": `objective graph: ${graph.edges
            .filter((edge) => edge.weight !== null)
            .map(inWords)
            .join("; ")}`,
        },
        graph.edges.map((edge, number) => h("g", { key: "line" + number }, line(edge))),
        graph.edges.map((edge, number) => h("g", { key: "label" + number }, label(edge))),
        graph.nodes.map((node) => h("g", { key: "node " + node.name }, box(node))),
      ),
    );
  };

  function inWords(edge) {
    return `${edge.learner} ${edge.raises ? "raises" : "lowers"} the return of ${edge.beneficiary} with ${edge.partner}, weight ${edge.weight}`;
  }

  function line(edge) {
    const points = edge.points;
    const d = "M" + points.map((point) => point.join(" ")).join("L");
    if (edge.weight === null) return h("path", { class: "shapes", d });
    const tip = points[points.length - 1];
    const foot =
      [...points].reverse().find((point) => Math.hypot(point[0] - tip[0], point[1] - tip[1]) > HEAD) ||
      points[0];
    const angle = (Math.atan2(tip[1] - foot[1], tip[0] - foot[0]) * 180) / Math.PI;
    const look = `edge ${edge.raises ? "raises" : "lowers"}${edge.fixed ? " fixed" : ""}`;
    return [
      edge.shaping ? h("path", { key: "band", class: look + " shaping", d }) : null,
      h("path", { key: "line", class: look, d }),
      h("path", {
        key: "head",
        class: look + " head",
        d: `M0 0L${-HEAD} -5L${-HEAD} 5Z`,
        transform: `translate(${tip.join(" ")}) rotate(${angle.toFixed(1)})`,
      }),
    ];
  }

  function label(edge) {
    const place = {
      x: edge.x,
      y: edge.y,
      "text-anchor": "middle",
      "dominant-baseline": "central",
      transform: `rotate(${edge.angle} ${edge.x} ${edge.y})`,
    };
    if (edge.weight === null) return h("text", { class: "shapes", ...place }, edge.label);
    const notes =
      (edge.mixed_with ? ` mixed with ${edge.mixed_with}` : "") +
      (edge.seat === null ? "" : ` (seat ${edge.seat})`);
    return [
      h("rect", {
        key: "backing",
        class: "backing",
        x: edge.x - edge.width / 2,
        y: edge.y - edge.height / 2,
        width: edge.width,
        height: edge.height,
        rx: 4,
        transform: place.transform,
      }),
      h(
        "text",
        { key: "text", class: edge.raises ? "raises" : "lowers", ...place },
        `${edge.weight} U`,
        h("tspan", { class: "sub", dy: 4 }, edge.beneficiary),
        notes ? h("tspan", { dy: -4 }, notes) : null,
      ),
    ];
  }

  function box(node) {
    const left = node.x - node.width / 2;
    const top = node.y - node.height / 2;
    const right = node.x + node.width / 2;
    const shape =
      node.role === "manipulator"
        ? h("path", {
            key: "box",
            class: "box manipulator",
            d: `M${left} ${node.y}L${left + 17} ${top}H${right - 17}L${right} ${node.y}L${right - 17} ${top + node.height}H${left + 17}Z`,
          })
        : h("rect", {
            key: "box",
            class: `box ${node.role}`,
            x: left,
            y: top,
            width: node.width,
            height: node.height,
            rx: 12,
          });
    return [
      shape,
      h(
        "text",
        {
          key: "name",
          class: "name",
          x: node.x,
          y: node.y - 6,
          "text-anchor": "middle",
          "dominant-baseline": "central",
        },
        node.name,
      ),
      h(
        "text",
        {
          key: "about",
          class: "about",
          x: node.x,
          y: node.y + 15,
          "text-anchor": "middle",
          "dominant-baseline": "central",
        },
        node.about,
      ),
    ];
  }
})(window.rpax);
