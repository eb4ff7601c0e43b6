/* Evidence on the columns of a comparison: equations, code, step scores, the answer at the end. */

import { byBox, mark } from "./review-scores.js";
import { boxIn, rangeIn } from "./review-text.js";

const LOOK = { holds: "ok", differs: "bad" };
const body = (box) => box.querySelector(".model-text");
const quote = (text, from, start, stop) => [...text].slice(Math.max(0, start - from), stop - from).join("");
const share = (n, all, words) => `${n}/${all} ${words}`;

function chip(box, css, words) {
  const note = document.createElement("span");
  note.className = `chip evidence ${css}`;
  note.textContent = words;
  box.append(note);
  return note;
}

export function makeEvidence(root, data, columns, scrollers) {
  const holders = [...root.querySelectorAll("[data-evidence]")];
  const at = columns.map((_, c) => (position) => boxIn(data.starts[c], position));
  const end = columns.map((_, c) => (i) => data.starts[c][i + 1] ?? data.chars[c]);
  const found = columns.map(() => new Set());  // boxes of a column that something speaks against
  const drawn = columns.map(() => new Map());  // box -> equations in it

  function head(c, css, words, title = "") {
    const note = document.createElement("span");
    note.className = `chip ${css}`;
    note.textContent = words;
    note.title = title;
    holders[c].append(note);
  }
  function equations(c, list) {
    if (!list.length) return;
    const good = list.filter((e) => e.state === "holds").length, wrong = list.filter((e) => e.state === "differs").length;
    for (const e of list) {
      const i = at[c](e.start);
      drawn[c].set(i, [...(drawn[c].get(i) || []), e]);
      if (e.state === "holds") continue;
      const source = quote(window.whittleMaths.sourceOf(body(columns[c][i])), data.starts[c][i], e.start, e.end);
      chip(columns[c][i], LOOK[e.state] || "unverifiable", e.state === "differs" ? `${source}: ${e.text}` : e.text);
      if (e.state === "differs") found[c].add(i);
    }
    head(c, wrong ? "bad" : good === list.length ? "ok" : "unverifiable", share(good, list.length, "equations"), `${good} of ${list.length} equations hold`);
  }
  function scores(c, models) {
    const maps = models.map((m) => byBox(m.steps, at[c], data.starts[c], end[c]));
    if (!maps.length) return;
    mark(columns[c], maps, models);
    for (const [i, step] of maps[0]) if (step.state === "drop") found[c].add(i);
    const known = models[0].steps.filter((s) => s.score !== null).map((s) => s.score);
    const name = models[0].verifier.slice(4), open = models[0].steps.length - known.length;
    const words = known.length ? `lowest step ${Math.min(...known).toFixed(2)}${open ? "+" : ""}` : "steps cannot be checked";
    const css = !known.length ? "unverifiable" : Math.min(...known) < models[0].threshold ? "bad" : open ? "unverifiable" : "ok";
    head(c, css, words, open ? `${name}; ${open} of ${models[0].steps.length} steps have no score (+)` : name);
  }
  /* The answer that a trace ends with, where it states it. */
  function answer(c, last) {
    if (!last) return;
    const css = last.matches === true ? "ok" : last.matches === false ? "bad" : "unverifiable";
    const words = last.matches === true ? "matches the reference" : last.matches === false ? "is not the reference" : "cannot be compared";
    const i = at[c](last.start);
    chip(columns[c][i], `answer ${css}`, `answer ${last.value}: ${words}`);
    if (last.matches === false) found[c].add(i);
  }
  function code(c, list) {
    if (!list.length) return;
    for (const e of list) {
      const i = at[c](e.end - 1);
      chip(columns[c][i], `code ${LOOK[e.state] || "unverifiable"}`, e.text);
      if (e.state === "differs") found[c].add(i);
    }
    const good = list.filter((e) => e.state === "holds").length, wrong = list.some((e) => e.state === "differs");
    head(c, wrong ? "bad" : good === list.length ? "ok" : "unverifiable", share(good, list.length, "code"), list.map((e) => e.text).join("\n"));
  }

  /* Underlines of the equations on screen only: every change of a page goes over all of them. */
  function paint() {
    if (typeof Highlight === "undefined" || !CSS.highlights) return;
    const places = { holds: [], differs: [] };
    columns.forEach((boxes, c) => {
      const view = scrollers[c].getBoundingClientRect();
      for (const [i, list] of drawn[c]) {
        const box = boxes[i].getBoundingClientRect();
        if (box.bottom < view.top - 300 || box.top > view.bottom + 300) continue;
        for (const e of list) {
          if (!places[e.state]) continue;
          const range = rangeIn(body(boxes[i]), data.starts[c][i], e.start, e.end);
          if (range) places[e.state].push(range);
        }
      }
    });
    for (const [name, list] of Object.entries(places)) {
      if (list.length) CSS.highlights.set(name, new Highlight(...list)); else CSS.highlights.delete(name);
    }
  }
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(paint, 120); };
  for (const s of scrollers) s.addEventListener("scroll", soon, { passive: true });
  document.addEventListener("maths:split", soon);

  async function start() {
    const told = await (await fetch(root.dataset.checks, { redirect: "manual" })).json();
    told.columns.forEach((column, c) => { equations(c, column.equations); answer(c, column.answer); scores(c, column.models); });
    soon();
    document.getElementById("findings").hidden = !found.some((f) => f.size);
    root.dataset.checked = "1";
    if (!root.dataset.code || !root.querySelector("code.block")) return;
    const ran = await (await fetch(root.dataset.code, { redirect: "manual" })).json();
    ran.columns.forEach((column, c) => code(c, column.code));
    document.getElementById("findings").hidden = !found.some((f) => f.size);
    root.dataset.ran = "1";
  }
  /* The next box of a column that something speaks against, or the one before; -1 for none. */
  function next(c, from, step) {
    const list = [...found[c]].sort((a, b) => a - b);
    const hit = step > 0 ? list.find((i) => i > from) : list.reverse().find((i) => i < from);
    return hit ?? -1;
  }
  return { start, next };
}
