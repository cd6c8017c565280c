/* Environments that draw themselves, and those that do not: see rpax/recordings/scenes/{pictures,moves}.py. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  rpax.renderers = rpax.renderers || {};
  const { box, text } = rpax.shapes;
  const images = new Map();
  // Those that were drawn last stay.
  const MOST_IMAGES = 400;

  /** The size that a PNG in a data URL says it has. */
  function sizeOf(url) {
    const head = window.atob(url.slice(url.indexOf(",") + 1, url.indexOf(",") + 45));
    const whole = (start) => [0, 1, 2, 3].reduce((sum, i) => sum * 256 + head.charCodeAt(start + i), 0);
    return { width: whole(16), height: whole(20) };
  }

  /** A picture, once it is there; `later` is called when it comes. */
  function imageOf(url, later) {
    let image = images.get(url);
    if (!image) {
      image = new Image();
      image.src = url;
    }
    // The last that is drawn stands last.
    images.delete(url);
    images.set(url, image);
    if (images.size > MOST_IMAGES) images.delete(images.keys().next().value);
    if (!image.complete) image.addEventListener("load", later, { once: true });
    return image;
  }

  rpax.renderers.pictures = {
    fields: () => 1,
    aspect: (scene) => {
      const { width, height } = sizeOf(scene.pictures[0]);
      return width / height;
    },
    describe: (scene, values) => {
      if (!scene.pictures[values[0]].startsWith("data:image/png;base64,")) throw new Error("no picture");
      return { picture: scene.pictures[values[0]] };
    },
    draw(c, description, size, theme, again) {
      const image = imageOf(description.picture, again);
      if (!image.complete || !image.naturalWidth) return;
      const scale = Math.min(size.width / image.naturalWidth, size.height / image.naturalHeight);
      const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
      c.imageSmoothingQuality = "high";
      c.drawImage(image, (size.width - width) / 2, (size.height - height) / 2, width, height);
    },
    alt: () => "Picture that the environment draws of itself.",
  };

  rpax.renderers.moves = {
    fields: () => 2,
    aspect: () => 2.4,
    describe: (scene, values) => ({
      actions: [0, 1].map((seat) => (values[seat] ? scene.actions[seat][values[seat] - 1] : null)),
    }),
    draw(c, { actions }, size, theme) {
      const scale = Math.min(size.width / 480, size.height / 200);
      c.save();
      c.translate((size.width - 480 * scale) / 2, (size.height - 200 * scale) / 2);
      c.scale(scale, scale);
      actions.forEach((action, seat) => {
        const x = 10 + seat * 235;
        box(c, x, 20, 225, 160, 12, theme.raised, theme.seats[seat], 2);
        text(c, `seat ${seat}`, x + 112, 52, 16, theme.seatTexts[seat], { align: "center", weight: 700 });
        const colour = action === null ? theme.muted : theme.ink;
        text(c, action === null ? "–" : action, x + 112, 110, 34, colour, { align: "center", weight: 600, most: 200 });
      });
      c.restore();
    },
    alt: ({ actions }) => actions.map((action, seat) => `Seat ${seat} did ${action === null ? "nothing yet" : action}.`).join(" "),
  };
})();
