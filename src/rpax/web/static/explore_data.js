/**
 * Where documents come from: the server, which is asked every second what has changed, or what is inside the file.
 */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const EVERY = 1000;
  const EVERY_WHEN_LOST = 3000;
  // What could not be had is asked for again after a pause that doubles.
  const PAUSE = 1000;
  const LONGEST_PAUSE = 30000;
  // Of documents of cells and episodes, of which there may be any number, the last that were looked at stay.
  const MOST_KEPT = 60;
  const ONE_OF_MANY = /^(cell|recording|play)\//;
  const known = new Map();
  const listeners = [];
  let embedded = null;
  let timer = null;

  const data = {
    /** Whether this page is a file that holds all of its documents. */
    exported: false,
    /** The document `overview`; null before it is there. */
    overview: null,
    /** Whether the server does not answer. */
    lost: false,
    /** Call this with nothing whenever a document has come. */
    listen: (listener) => listeners.push(listener),
    get,
    want,
    start,
  };
  rpax.data = data;

  function tell() {
    for (const listener of listeners) listener();
  }

  async function start() {
    const packed = document.getElementById("rpax-documents");
    data.exported = packed !== null;
    if (data.exported) {
      embedded = JSON.parse(await inflate(packed.textContent.trim()));
      data.overview = embedded.overview;
      tell();
      return;
    }
    await follow();
  }

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).text();
  }

  /** Ask again and again what has changed. */
  async function follow() {
    clearTimeout(timer);
    const was = data.lost;
    try {
      const before = data.overview;
      data.overview = await get("overview");
      data.lost = false;
      if (was) for (const entry of known.values()) askAgain(entry);
      if (data.overview !== before || was) tell();
    } catch (error) {
      data.lost = true;
      if (!was) tell();
    }
    timer = setTimeout(follow, data.lost ? EVERY_WHEN_LOST : EVERY);
  }

  /**
   * A document. The same object as before where nothing has changed.
   * @param {string} path - as in /data/path.
   */
  async function get(path) {
    if (data.exported) {
      if (!(path in embedded))
        throw new Error("this file does not hold it; open the explorer itself for more");
      return embedded[path];
    }
    const { tag, found: before } = known.get(path) || {};
    const headers = tag ? { "If-None-Match": tag } : {};
    let answer;
    try {
      answer = await fetch("data/" + path, { headers, cache: "no-store", credentials: "same-origin" });
    } catch (error) {
      throw new Error("the server does not answer");
    }
    if (answer.status === 304) return before;
    const found = await answer.json().catch(() => ({ error: `the server answers with ${answer.status}` }));
    if (!answer.ok) throw new Error(String(found.error || answer.status));
    const entry = known.get(path) || { failures: 0 };
    known.set(path, Object.assign(entry, { tag: answer.headers.get("ETag"), found }));
    return found;
  }

  /**
   * What is known of a document now; it is asked for where its version is another, and listeners hear when it comes.
   * What could not be had is asked for again, as long as somebody wants it.
   * @param {string} path - as in /data/path.
   * @param {*} version - asked for again when this changes.
   * @return {{found: *, error: ?string}}
   */
  function want(path, version) {
    const entry = known.get(path) || { failures: 0 };
    // The last that is looked at stands last.
    known.delete(path);
    known.set(path, entry);
    const mark = JSON.stringify(version);
    if (entry.mark !== mark && !entry.asked) {
      entry.asked = true;
      entry.mark = mark;
      get(path)
        .then(
          (found) => answered(path, { found, error: null, failures: 0 }),
          (error) => failed(path, error),
        )
        .then(tell);
      forget();
    }
    return { found: entry.found, error: entry.error };
  }

  function answered(path, answer) {
    return Object.assign(known.get(path), answer, { asked: false });
  }

  function failed(path, error) {
    const { failures } = known.get(path);
    const entry = answered(path, { error: error.message, failures: failures + 1 });
    if (data.exported) return;
    setTimeout(
      () => {
        askAgain(entry);
        tell();
      },
      Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE),
    );
  }

  /** Have a document that could not be had asked for when it is wanted the next time. */
  function askAgain(entry) {
    if (entry.error) entry.mark = undefined;
  }

  /** Leave out what nobody has looked at for the longest time. */
  function forget() {
    const many = [...known].filter(([path, entry]) => ONE_OF_MANY.test(path) && !entry.asked);
    for (const [path] of many.slice(0, Math.max(0, many.length - MOST_KEPT))) known.delete(path);
  }
})(window.rpax);
