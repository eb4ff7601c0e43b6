/* Find in the trace: every place of the stored text that holds the words, over segments' ends too.

   The browser's own find works as well (nothing is left out of the page). This one reads formulas as
   they are written (review-query.js), opens what is folded, and marks the places in the minimap. */

import { painted } from "./review-lay.js";
import { indexing, search } from "./review-query.js";

const SLICE = 10;  // ms of work between two places where the browser may do something else
const NEAR = 3;    // boxes before and behind what is on screen in which places are marked
const COVERED = 70;  // pixels at the top of the text that the field may lie over
const pause = () => new Promise((done) => { setTimeout(done, 0); });

/* The text of all boxes, then the index of it, in slices. */
async function readAll(text) {
  let until = performance.now() + SLICE;
  const rest = async () => {
    if (performance.now() < until) return;
    await pause();
    until = performance.now() + SLICE;
  };
  const bodies = [];
  for (let i = 0; i < text.boxes.length; i++) {
    bodies.push(window.whittleMaths.sourceOf(text.body(i)));
    await rest();
  }
  const steps = indexing(bodies.join(""));
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await rest();
  }
}

/* `onHits` is told what to mark in the minimap. */
export function makeFind(text, draw, onHits) {
  const dialog = document.getElementById("find"), field = document.getElementById("find-q");
  const said = document.getElementById("find-said");
  let index = null, hits = [], now = -1, asked = "", from = 0;

  /* Scrolls so that the place itself is in view: its segment may be longer than the screen. */
  function centre(hit) {
    const place = text.domRange(text.boxAt(hit.start), hit.start, hit.end)?.getBoundingClientRect();
    const view = text.view.getBoundingClientRect();
    if (place && (place.top < view.top + COVERED || place.bottom > view.bottom - 20)) {
      text.view.scrollTop += place.top + place.height / 2 - view.top - view.height / 2;
    }
  }
  function show(hit) {
    const first = text.boxAt(hit.start);
    for (let i = first; i < text.boxes.length && text.starts[i] < hit.end; i++) text.unfold(i);
    text.go(first, "nearest");
    centre(hit);
    // What came into view may only be laid out with the next picture, and move it.
    painted().then(() => { if (hits[now] === hit) centre(hit); });
  }
  function to(n) {
    now = n;
    draw.paint("find-now", n < 0 ? [] : [hits[n]], NEAR);
    if (n >= 0) { from = hits[n].start; show(hits[n]); }
    said.textContent = n >= 0 ? `${(n + 1).toLocaleString("en")} of ${hits.length.toLocaleString("en")}` : asked && "nowhere";
  }
  function look() {
    if (field.value.trim() === asked || !index) return;
    asked = field.value.trim();
    hits = search(index, asked);
    draw.paint("find", hits, NEAR);
    onHits(hits);
    const next = hits.findIndex((h) => h.end > from);
    to(next < 0 && hits.length ? 0 : next);
  }
  function next(step) {
    if (field.value.trim() !== asked) look();
    else if (hits.length) to((now + step + hits.length) % hits.length);
  }
  function clear() {
    hits = [];
    asked = "";
    draw.paint("find", []);
    draw.paint("find-now", []);
    onHits(hits);
  }
  function close() {
    clear();
    dialog.close();
    text.view.focus({ preventScroll: true });
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); close(); }
    else if (event.key === "Enter" && event.target === field && !event.isComposing) { event.preventDefault(); next(event.shiftKey ? -1 : 1); }
  });
  field.addEventListener("input", look);
  for (const [name, act] of [["next", () => next(1)], ["back", () => next(-1)], ["close", close]]) {
    dialog.querySelector(`[data-find=${name}]`).addEventListener("click", act);
  }
  readAll(text).then((made) => { index = made; dialog.dataset.ready = "1"; if (dialog.open) look(); })
    .catch((error) => { said.textContent = `cannot be searched: ${error.message}`; });
  return {
    close() { if (dialog.open) close(); },
    open() {
      clear();
      said.textContent = "";
      from = Math.max(0, text.starts[text.here()] ?? 0);
      if (!dialog.open) dialog.show();
      field.focus();
      field.select();
      look();
    },
  };
}
