/* What lies over the board: before an episode, in a pause, at the end, and when the connection is lost. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  const { element } = rpax;

  /** The colours of the seats in words. */
  rpax.SEATS = ["blue", "orange"];

  /** A return as people read it. */
  rpax.shortReturn = (value) => String(Number(value.toFixed(2))).replace("-", "−");

  /** A list of partners. */
  rpax.partnerChoice = function partnerChoice(play, id, chosen) {
    const options = play.welcome.partners.map(({ name }, number) =>
      element("option", { value: number, text: name, selected: number === play.partner }),
    );
    const list = element("select", { id, onchange: (event) => chosen(Number(event.target.value)) }, ...options);
    return element("label", { class: "choose", for: id }, element("span", { text: "Partner" }), list);
  };

  const title = (text) => element("h2", { text });
  const line = (text) => (text ? [element("p", { class: "hint", text })] : []);
  const row = (...buttons) => element("div", { class: "row" }, ...buttons);

  function button(text, call, first = true) {
    return element("button", { type: "button", class: first ? "big first" : "big", text, onclick: call });
  }

  function settings(play) {
    const { partners } = play.welcome;
    const whom =
      partners.length > 1
        ? rpax.partnerChoice(play, "partner", (partner) => play.choose(partner, play.seat))
        : element("p", { class: "hint", text: `You play with ${partners[0].name}.` });
    const seats = partners[play.partner].seats.map((seat) =>
      element(
        "button",
        {
          type: "button",
          class: "seat-choice",
          "data-seat": seat,
          "aria-pressed": String(seat === play.seat),
          onclick: () => play.choose(play.partner, seat),
        },
        element("i", { class: "dot" }),
        element("span", { text: `Seat ${seat} · ${rpax.SEATS[seat]}` }),
      ),
    );
    return [whom, element("div", { class: "row", role: "group", "aria-label": "Your seat" }, ...seats)];
  }

  function result(play) {
    const { returns, steps, problem, all_played: over } = play.ending;
    const partner = play.welcome.partners[play.partner];
    const cells = [play.seat, 1 - play.seat].map((seat) =>
      element(
        "div",
        { class: "result", "data-seat": seat },
        element("span", { text: seat === play.seat ? "You" : partner.name }),
        element("b", { text: rpax.shortReturn(returns[seat]) }),
      ),
    );
    const parts = [
      title("The end"),
      element("div", { class: "row results" }, ...cells),
      ...line(`after ${steps} step${steps === 1 ? "" : "s"}`),
    ];
    if (problem) parts.push(element("p", { class: "problem", text: problem }));
    if (over) {
      const thanks = "All episodes are played. Thank you! You can close this page.";
      return [...parts, element("p", { class: "thanks", text: thanks })];
    }
    const buttons = [button("Play again", () => play.start())];
    if (partner.seats.length > 1) buttons.push(button("Swap seats", () => play.start(play.partner, 1 - play.seat), false));
    parts.push(row(...buttons));
    if (play.welcome.partners.length > 1) parts.push(rpax.partnerChoice(play, "partner", (number) => play.start(number)));
    return parts;
  }

  const PARTS = {
    ready: (play) => [title(play.welcome.environment), ...line(play.told), ...settings(play), button("Play", () => play.start())],
    starting: () => [title("Getting ready …")],
    paused: (play) => [title("Paused"), row(button("Go on", () => play.pause(false)), button("Restart", () => play.start(), false))],
    ended: result,
    lost: (play) => [
      title("Connection lost"),
      ...line("The page tries to connect again …"),
      button("Try now", () => play.connectAgain()),
    ],
    refused: (play) => [
      title("The server ended the connection"),
      ...line(play.told),
      button("Connect again", () => play.connectAgain()),
    ],
  };

  /** The elements that lie over the board in the phase that the page is in. */
  rpax.overlayOf = function overlayOf(play) {
    return play.phase in PARTS ? PARTS[play.phase](play) : [];
  };
})();
