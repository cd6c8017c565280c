/* Drawing a state on a canvas: crisp at any size, in the theme of the page, drawn again whenever one of them changes. */
window.rpax = window.rpax || {};
(() => {
  "use strict";
  const rpax = window.rpax;
  /** What each canvas shows. */
  const views = new WeakMap();
  const MOST_RATIO = 4;

  class View {
    constructor(canvas) {
      this.canvas = canvas;
      this.frame = 0;
      this.size = null;
      this.sizes = new ResizeObserver(() => {
        this.size = null;
        this.later();
      });
      this.sizes.observe(canvas);
      this.unwatch = rpax.onTheme(() => this.later());
    }

    later() {
      if (!this.frame) this.frame = window.requestAnimationFrame(() => this.draw());
    }

    draw() {
      window.cancelAnimationFrame(this.frame);
      this.frame = 0;
      const { canvas, renderer, description } = this;
      // Asking for it lays the page out, so it is asked for once.
      this.size = this.size || { width: canvas.clientWidth, height: canvas.clientHeight };
      const { width, height } = this.size;
      if (!width || !height) return;
      const ratio = Math.min(window.devicePixelRatio || 1, MOST_RATIO);
      const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      renderer.draw(context, description, this.size, rpax.theme(), () => this.later());
    }

    end() {
      this.sizes.disconnect();
      this.unwatch();
      window.cancelAnimationFrame(this.frame);
    }
  }

  /**
   * Draw a state, and keep it drawn when the canvas or the theme changes.
   * @param {HTMLCanvasElement} canvas gets its shape and its text alternative.
   * @param {object} scene the static description.
   * @param {ArrayLike<number>} values the numbers of the state.
   * @param {object} [extras] for renderers that show more: `policies` of a table, each seat's probabilities.
   * @returns {object} what is shown, as plain data; nothing else is drawn.
   */
  rpax.drawScene = function drawScene(canvas, scene, values, extras) {
    let view = views.get(canvas);
    if (!view) views.set(canvas, (view = new View(canvas)));
    const renderer = rpax.renderers[scene.kind];
    view.description = renderer.describe(scene, values, extras || {});
    if (view.scene !== scene) {
      Object.assign(view, { scene, renderer, size: null });
      canvas.style.aspectRatio = String(renderer.aspect(scene));
      canvas.style.maxWidth = renderer.widest ? `${renderer.widest(scene)}px` : "";
      canvas.setAttribute("role", "img");
    }
    canvas.setAttribute("aria-label", renderer.alt(view.description));
    view.draw();
    return view.description;
  };

  /** Stop drawing on a canvas. */
  rpax.forgetScene = function forgetScene(canvas) {
    const view = views.get(canvas);
    if (view) view.end();
    views.delete(canvas);
  };
})();
