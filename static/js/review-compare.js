/* Two to four traces beside each other: scrolled together along results that they share, ordered
   by keys, with the step where each goes another way. */

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
let groups = [], chosen = scrollers.map(() => -1), diverges = {};
function draw() {
  const rest = data.traces.map((_, i) => i).filter((i) => !groups.flat().includes(i));
  byId("order").textContent = groups.length ? groups.map((g) => g.map((i) => i + 1).join(" = ")).join(" > ") + (rest.length ? " …" : "") : "";
  byId("parts-said").textContent = Object.entries(diverges).map(([c, i]) => `${+c + 1} at ${i + 1}`).join(", ");
  for (const r of root.querySelectorAll(".rank")) {
    const place = groups.findIndex((g) => g.includes(+r.dataset.rank));
    r.textContent = place < 0 ? "" : `#${place + 1}`;
  }
}
function pick(i) {
  if (i >= data.traces.length || groups.flat().includes(i)) return;
  groups.push([i]);
  draw();
}
function equal() {
  if (groups.length < 2) return;
  const last = groups.pop();
  groups[groups.length - 1] = [...groups[groups.length - 1], ...last];
  draw();
}
let current = 0;
function choose(c, i) {
  if (i < 0 || i >= columns[c].length) return;
  columns[c][chosen[c]]?.classList.remove("now");
  chosen[c] = i;
  current = c;
  columns[c][i].classList.add("now");
  columns[c][i].scrollIntoView({ block: "nearest" });
}
function mark() {
  const i = chosen[current];
  if (i < 0) return;
  columns[current][diverges[current]]?.classList.remove("diverges");
  if (diverges[current] === i) delete diverges[current];
  else { diverges[current] = i; columns[current][i].classList.add("diverges"); }
  draw();
}
columns.forEach((boxes, c) => boxes.forEach((box, i) => box.addEventListener("click", (event) => {
  if (event.target.closest("a.n")) event.preventDefault();
  choose(c, i);
})));

async function keep() {
  const problem = byId("problem"), saved = byId("saved");
  problem.textContent = "";
  if (groups.flat().length !== data.traces.length) { problem.textContent = "Order all of them first."; return; }
  const starts = (c, i) => data.starts[c][i];
  const body = {
    ranking: groups.map((g) => g.map((i) => data.traces[i])),
    diverges: Object.fromEntries(Object.entries(diverges).map(([c, i]) => [data.traces[c], starts(c, i)])),
    strength: byId("strength").value, note: byId("why").value, seconds: (performance.now() - began) / 1000,
  };
  try {
    const answer = await fetch(root.dataset.prefer, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": csrf }, body: JSON.stringify(body) });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.detail || String(answer.status));
    saved.className = "chip ok";
    saved.textContent = "saved";
  } catch (error) {
    saved.className = "chip bad";
    saved.textContent = "not saved";
    problem.textContent = `Not saved: ${error.message}. The order is still here; try again.`;
  }
}
byId("prefer")?.addEventListener("click", keep);
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && byId("prefer")) { event.preventDefault(); keep(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input[type=text], textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  const acts = {
    "=": equal, e: mark, y: () => byId("sync").click(),
    u: () => { groups.pop(); draw(); },
    n: () => object(1), p: () => object(-1),
    j: () => choose(current, chosen[current] + 1), k: () => choose(current, chosen[current] - 1),
    Tab: null,
  };
  const act = /^[1-4]$/.test(event.key) ? () => pick(event.key - 1) : acts[event.key];
  if (!act) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  act();
}, true);
draw();
root.dataset.ready = "1";

/* --- what machines say: asked for when the columns are there ---------------------------- */
let evidence = null;
function object(step) {
  const i = evidence ? evidence.next(current, chosen[current], step) : -1;
  if (i >= 0) { choose(current, i); columns[current][i].scrollIntoView({ block: "center" }); }
}
const later = window.requestIdleCallback || ((act) => setTimeout(act, 300));
later(async () => {
  try {
    const { makeEvidence } = await import("./review-evidence.js");
    evidence = makeEvidence(root, data, columns, scrollers);
    await evidence.start();
  } catch { /* no evidence is shown; nothing depends on it */ }
});
