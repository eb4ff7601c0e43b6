/* Find in the trace: the next segment that holds the words, and how many do.

   The browser's own find works as well (nothing is left out of the page); this one keeps the place,
   opens what is folded, and looks at formulas as they are written. */

import { points } from "./review-text.js";

export function makeFind(text, draw) {
  const dialog = document.getElementById("find"), field = document.getElementById("find-q");
  const said = document.getElementById("find-said");
  const body = (i) => window.whittleMaths.sourceOf(text.body(i));
  let asked = "", hits = [];

  function look(wanted) {
    asked = wanted;
    hits = [];
    if (!wanted) return;
    for (let i = 0; i < text.boxes.length; i++) {
      const from = body(i), at = from.toLowerCase().indexOf(wanted);
      if (at >= 0) hits.push({ i, start: text.starts[i] + points(from.slice(0, at)) });
    }
  }
  function next(step) {
    const wanted = field.value.trim().toLowerCase(), fresh = wanted !== asked;
    if (fresh) look(wanted);
    const here = text.here(), ahead = step > 0 ? hits : [...hits].reverse();
    const hit = ahead.find((h) => (step > 0 ? h.i > here || (fresh && h.i === here) : h.i < here)) || ahead[0];
    if (!hit) { said.textContent = wanted ? "nowhere" : ""; draw.paint("find", []); return; }
    text.unfold(hit.i);
    text.go(hit.i, "center");
    draw.paint("find", [{ start: hit.start, end: hit.start + points(asked) }]);
    said.textContent = `${hits.indexOf(hit) + 1} of ${hits.length} segments`;
  }
  function close() {
    dialog.close();
    draw.paint("find", []);
    text.view.focus({ preventScroll: true });
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); close(); }
    else if (event.key === "Enter" && event.target === field) { event.preventDefault(); next(event.shiftKey ? -1 : 1); }
  });
  dialog.querySelector("[data-find=next]").addEventListener("click", () => next(1));
  dialog.querySelector("[data-find=close]").addEventListener("click", close);
  return { open() { said.textContent = ""; asked = ""; if (!dialog.open) dialog.show(); field.focus(); field.select(); } };
}
