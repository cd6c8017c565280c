/**
 * Where documents come from: the server, which is asked every second what has changed, or what is inside the file.
 */
window.rpax = window.rpax || {};
(function (rpax) {
  "use strict";

  const EVERY = 1000;
  const EVERY_WHEN_LOST = 3000;
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
    const entry = known.get(path) || {};
    const headers = entry.tag ? { "If-None-Match": entry.tag } : {};
    let answer;
    try {
      answer = await fetch("data/" + path, { headers, cache: "no-store", credentials: "same-origin" });
    } catch (error) {
      throw new Error("the server does not answer");
    }
    if (answer.status === 304) return entry.found;
    const found = await answer.json().catch(() => ({ error: `the server answers with ${answer.status}` }));
    if (!answer.ok) throw new Error(String(found.error || answer.status));
    known.set(path, { ...known.get(path), tag: answer.headers.get("ETag"), found });
    return found;
  }

  /**
   * What is known of a document now; it is asked for where its version is another, and listeners hear when it comes.
   * @param {string} path - as in /data/path.
   * @param {*} version - asked for again when this changes.
   * @return {{found: *, error: ?string}}
   */
  function want(path, version) {
    const entry = known.get(path) || {};
    if (!known.has(path)) known.set(path, entry);
    const mark = JSON.stringify(version);
    if (entry.mark !== mark && !entry.asked) {
      entry.asked = true;
      entry.mark = mark;
      get(path)
        .then(
          (found) => Object.assign(known.get(path), { found, error: null, asked: false }),
          (error) => Object.assign(known.get(path), { error: error.message, asked: false }),
        )
        .then(tell);
    }
    return { found: entry.found, error: entry.error };
  }
})(window.rpax);
