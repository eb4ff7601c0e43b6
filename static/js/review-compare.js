/* Two to four traces beside each other: scrolled together along results that they share, ordered
   by keys, with the step where each goes another way. */

import { makeKeys } from "./review-keys.js";
import { SignedOut, whyNot } from "./review-store.js";

const byId = (id) => document.getElementById(id);
const root = byId("compare");
const data = JSON.parse(byId("state").textContent);
const scrollers = [...root.querySelectorAll(".scroller")];
const columns = scrollers.map((s) => [...s.querySelectorAll(".seg")]);
const csrf = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";
const began = performance.now();

/* --- scrolling together ------------------------------------------------------ */
byId("aligned").textContent = data.rows.length > 1 ? `${data.rows.length - 1} shared result${data.rows.length > 2 ? "s line" : " lines"} up` : "nothing they share to line up by: scrolled by share of the length";
const top = (column, box) => columns[column][box].getBoundingClientRect().top - scrollers[column].getBoundingClientRect().top + scrollers[column].scrollTop;
/* Where the other column should be, between the two rows that the first column is between. */
function follow(from, to) {
  const at = scrollers[from].scrollTop, rows = data.rows;
  let i = 0, past = rows.length;  // rows go forward in every column, so they can be searched
  while (past - i > 1) {
    const middle = (i + past) >> 1;
    if (top(from, rows[middle][from]) <= at + 40) i = middle; else past = middle;
  }
  const low = rows[i], high = rows[past];
  const a0 = top(from, low[from]), b0 = top(to, low[to]);
  const a1 = high ? top(from, high[from]) : scrollers[from].scrollHeight, b1 = high ? top(to, high[to]) : scrollers[to].scrollHeight;
  return b0 + (a1 > a0 ? (at - a0) / (a1 - a0) : 0) * (b1 - b0);
}
let leader = -1, until = 0, queued = false;
for (const [i, s] of scrollers.entries()) {
  s.addEventListener("scroll", () => {
    if (!byId("sync").checked || (leader !== i && performance.now() < until)) return;
    leader = i;
    until = performance.now() + 160;
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      for (const [k, other] of scrollers.entries()) if (k !== leader) other.scrollTop = follow(leader, k);
    });
  }, { passive: true });
}
byId("prefix")?.addEventListener("click", (event) => {
  const chars = +event.currentTarget.dataset.chars;
  columns.forEach((boxes, c) => boxes.forEach((box, i) => {
    const end = data.starts[c][i + 1] ?? Infinity;
    if (end > chars) return;
    const body = box.querySelector(".model-text");
    body.hidden = body.hidden ? false : "until-found";
    box.classList.toggle("fold");
    box.dataset.fold = "shared by all";
  }));
});

/* --- the order ------------------------------------------------------------------ */
let groups = [], chosen = scrollers.map(() => -1), diverges = {}, past = [], unsaved = false, edits = 0, keeping = false;
const problem = (words) => { byId("problem").textContent = words; };
/* One change of the order or of where a trace goes another way; what stood before can be had back. */
function change(act) {
  past.push(JSON.stringify({ groups, diverges }));
  act();
  edited();
}
function undo() {
  if (!past.length) { problem("nothing more to take back"); return; }
  ({ groups, diverges } = JSON.parse(past.pop()));
  edited();
}
function edited() {
  unsaved = true;
  edits += 1;
  byId("saved").className = "chip warn";
  byId("saved").textContent = "not kept yet";
  problem("");
  draw();
}
function draw() {
  const rest = data.traces.map((_, i) => i).filter((i) => !groups.flat().includes(i));
  byId("order").textContent = groups.length ? groups.map((g) => g.map((i) => i + 1).join(" = ")).join(" > ") + (rest.length ? " …" : "") : "";
  columns.forEach((boxes, c) => boxes.forEach((box, i) => box.classList.toggle("diverges", diverges[c] === i)));
  byId("parts-said").textContent = Object.entries(diverges).map(([c, i]) => `${+c + 1} at ${i + 1}`).join(", ");
  for (const r of root.querySelectorAll(".rank")) {
    const place = groups.findIndex((g) => g.includes(+r.dataset.rank));
    r.textContent = place < 0 ? "" : `#${place + 1}`;
  }
}
function pick(i) {
  if (groups.flat().includes(i)) { problem(`${i + 1} has its place already; u takes back`); return; }
  change(() => groups.push([i]));
}
function equal() {
  if (groups.length < 2) { problem("order two of them first"); return; }
  change(() => {
    const last = groups.pop();
    groups[groups.length - 1] = [...groups[groups.length - 1], ...last];
  });
}
let current = 0;
function choose(c, i) {
  if (i < 0 || i >= columns[c].length) return;
  for (const box of root.querySelectorAll(".seg.now")) box.classList.remove("now");
  chosen[c] = i;
  current = c;
  columns[c][i].classList.add("now");
  columns[c][i].scrollIntoView({ block: "nearest" });
}
function mark() {
  const i = chosen[current];
  if (i < 0) { problem("choose a step first: j, or a click"); return; }
  change(() => { if (diverges[current] === i) delete diverges[current]; else diverges[current] = i; });
}
columns.forEach((boxes, c) => boxes.forEach((box, i) => box.addEventListener("click", (event) => {
  if (event.target.closest("a.n")) event.preventDefault();
  choose(c, i);
})));

async function keep() {
  if (keeping) return;
  const saved = byId("saved"), sent = edits;
  problem("");
  if (groups.flat().length !== data.traces.length) { problem("Order all of them first."); return; }
  const starts = (c, i) => data.starts[c][i];
  const body = {
    ranking: groups.map((g) => g.map((i) => data.traces[i])),
    diverges: Object.fromEntries(Object.entries(diverges).map(([c, i]) => [data.traces[c], starts(c, i)])),
    strength: byId("strength").value, note: byId("why").value, seconds: (performance.now() - began) / 1000,
  };
  keeping = true;
  try {
    const answer = await fetch(root.dataset.prefer, { method: "POST", redirect: "manual", headers: { "Content-Type": "application/json", "X-CSRFToken": csrf }, body: JSON.stringify(body) });
    if (answer.type === "opaqueredirect" || answer.status === 401) throw new SignedOut();
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.detail || String(answer.status));
    if (edits !== sent) return;  // changed meanwhile: that is not kept yet, and stays said
    unsaved = false;
    saved.className = "chip ok";
    saved.textContent = "saved";
  } catch (error) {
    saved.className = "chip bad";
    saved.textContent = "not saved";
    problem(`Not saved: ${whyNot(error)}. The order is still here; try again.`);
  } finally { keeping = false; }
}
byId("prefer")?.addEventListener("click", keep);
for (const id of ["why", "strength"]) byId(id)?.addEventListener("input", edited);
/* The other column, at about the same height. */
function aside(step) {
  const c = current + step;
  if (c < 0 || c >= columns.length) { problem("no further column"); return; }
  const top = scrollers[c].getBoundingClientRect().top;
  const seen = columns[c].findIndex((box) => box.getBoundingClientRect().bottom > top + 8);
  choose(c, chosen[c] < 0 ? Math.max(0, seen) : chosen[c]);
}
const orders = Boolean(byId("prefer"));
const ORDER = [
  ...data.traces.map((_, i) => ({ group: "Ordering", keys: [String(i + 1)], words: `trace ${i + 1} is the next best`, act: () => pick(i) })),
  { group: "Ordering", keys: ["="], words: "the last two are equal", act: equal },
  { group: "Ordering", keys: ["u"], words: "take the last of it back", act: undo },
  { group: "Ordering", keys: ["e"], words: "here this trace goes another way", act: mark },
  { group: "Ordering", keys: ["Ctrl+Enter"], words: "keep this order", act: keep },
];
makeKeys([
  { group: "Moving", keys: ["j", "ArrowDown"], words: "next step", repeats: true, act: () => choose(current, chosen[current] + 1) },
  { group: "Moving", keys: ["k", "ArrowUp"], words: "previous step", repeats: true, act: () => choose(current, Math.max(0, chosen[current] - 1)) },
  { group: "Moving", keys: ["l", "ArrowRight"], words: "next trace", act: () => aside(1) },
  { group: "Moving", keys: ["h", "ArrowLeft"], words: "previous trace", act: () => aside(-1) },
  { group: "Moving", keys: ["n"], words: "next thing that machines object to", act: () => object(1) },
  { group: "Moving", keys: ["p"], words: "previous thing that machines object to", act: () => object(-1) },
  { group: "Moving", keys: ["y"], words: "scroll together, or not", act: () => byId("sync").click() },
  ...(orders ? ORDER : []),
], byId("sheet"));
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
draw();
root.dataset.ready = "1";

/* --- what machines say: asked for when the columns are there ---------------------------- */
let evidence = null;
function object(step) {
  const i = evidence ? evidence.next(current, chosen[current], step) : -1;
  if (i < 0) problem(`nothing that machines object to ${step > 0 ? "below" : "above"}`);
  else { choose(current, i); columns[current][i].scrollIntoView({ block: "center" }); }
}
const later = window.requestIdleCallback || ((act) => setTimeout(act, 300));
later(async () => {
  try {
    const { makeEvidence } = await import("./review-evidence.js");
    evidence = makeEvidence(root, data, columns, scrollers);
    await evidence.start();
  } catch { /* no evidence is shown; nothing depends on it */ }
});
