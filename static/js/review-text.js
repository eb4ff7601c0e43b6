/* The text on the page: boxes, code points, moving, folding, what was on screen and how long.

   Positions are code points of the stored text. The page's text content is that text (formulas
   give their source), so a place in the DOM is counted, never guessed. */

const PAIR = /[\uD800-\uDBFF][\uDC00-\uDFFF]/g;
export const points = (s) => s.length - (s.match(PAIR) || []).length;

/* UTF-16 offset of the `n`-th code point of a string. */
export function unitsOf(s, n) {
  let at = 0;
  for (let i = 0; i < n && at < s.length; i++) at += s.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

/* The parts of a box's text in order: {node, text, whole}; a drawn formula is one whole part. */
function* parts(element) {
  for (const node of element.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) yield { node, text: node.data, whole: false };
    else if (node.nodeType !== Node.ELEMENT_NODE) continue;
    else if (node.dataset.source !== undefined) yield { node, text: node.dataset.source, whole: true };
    else yield* parts(node);
  }
}

/* The DOM range of what of code points `start` to `stop` stands in a text that begins at `from`. */
export function rangeIn(body, from, start, stop) {
  const place = document.createRange();
  let at = from, open = false;
  for (const p of parts(body)) {
    const size = points(p.text), low = at, high = at + size;
    at = high;
    if (high <= start) continue;
    if (low >= stop) break;
    if (!open) {
      if (p.whole) place.setStartBefore(p.node);
      else place.setStart(p.node, unitsOf(p.text, Math.max(0, start - low)));
      open = true;
    }
    if (p.whole) place.setEndAfter(p.node);
    else place.setEnd(p.node, unitsOf(p.text, Math.min(size, stop - low)));
  }
  return open ? place : null;
}

/* The last of `starts` that is not behind `position`. */
export function boxIn(starts, position) {
  let low = 0, high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= position) low = middle; else high = middle - 1;
  }
  return low;
}

export function makeText(root, state) {
  const holder = root.querySelector("#boxes");
  const view = root.querySelector("#text");
  const boxes = [...holder.querySelectorAll(".seg")];
  const numbers = new Map(boxes.map((b, i) => [b, i]));
  const s = state.structure;
  const starts = s.starts, chars = state.chars;
  const end = (i) => (i + 1 < starts.length ? starts[i + 1] : chars);
  const range = (i) => ({ start: starts[i], end: end(i) });
  const body = (i) => boxes[i].lastElementChild.classList.contains("model-text")
    ? boxes[i].lastElementChild : boxes[i].querySelector(".model-text");
  const kind = (i) => s.kindNames[s.kinds[i]];
  const part = (i) => s.partNames[s.parts[i]];

  const boxAt = (position) => boxIn(starts, position);

  /* --- DOM place <-> code point ------------------------------------------ */
  function positionOf(node, offset) {
    const owner = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
    const box = owner?.closest(".seg");
    if (!box) return null;
    const i = numbers.get(box);
    if (i === undefined) return null;
    const text = body(i);
    if (!text.contains(node)) return starts[i];
    const mark = document.createRange();
    mark.setStart(node, offset);
    let at = starts[i];
    for (const p of parts(text)) {
      if (p.node === node) return p.whole ? at : at + points(p.text.slice(0, offset));
      if (p.whole && p.node.contains(node)) return at;
      if (mark.comparePoint(p.node, 0) >= 0) return at;
      at += points(p.text);
    }
    return at;
  }

  /* The stored range of a selection; formulas that it touches are taken whole. Else null. */
  function selected() {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed || !selection.rangeCount) return null;
    const found = selection.getRangeAt(0);
    if (!holder.contains(found.commonAncestorContainer)) return null;
    const start = positionOf(found.startContainer, found.startOffset);
    let last = positionOf(found.endContainer, found.endOffset);
    const owner = found.endContainer.nodeType === Node.ELEMENT_NODE ? found.endContainer : found.endContainer.parentElement;
    const formula = owner?.closest("[data-source]");
    if (formula && last !== null) last += points(formula.dataset.source);
    return start === null || last === null || start >= last ? null : { start, end: last };
  }

  /* The DOM range of what of `start` to `stop` stands in box `i`, or null. */
  const domRange = (i, start, stop) => rangeIn(body(i), starts[i], start, stop);

  function quote(start, stop) {
    let out = "";
    for (let i = boxAt(start); i < boxes.length && starts[i] < stop; i++) {
      const text = [...window.whittleMaths.sourceOf(body(i))];
      out += text.slice(Math.max(0, start - starts[i]), stop - starts[i]).join("");
    }
    return out;
  }

  /* --- moving ------------------------------------------------------------ */
  let now = -1;
  const followers = [];
  const here = () => now;
  const onMove = (act) => followers.push(act);
  function go(index, block = "nearest") {
    if (!(index >= 0 && index < boxes.length)) return false;
    if (now >= 0) boxes[now].classList.remove("now");
    now = index;
    boxes[now].classList.add("now");
    if (boxes[now].classList.contains("gone")) unfold(now);
    if (block) boxes[now].scrollIntoView({ block });
    for (const act of followers) act(now);
    return true;
  }
  let flashing = 0;
  function goTo(position, block = "center") {
    const i = boxAt(position);
    go(i, block);
    boxes[i].classList.add("flash");
    clearTimeout(flashing);
    flashing = setTimeout(() => { for (const b of holder.querySelectorAll(".flash")) b.classList.remove("flash"); }, 1600);
  }
  const partStarts = starts.map((_, i) => i).filter((i) => i === 0 || s.parts[i] !== s.parts[i - 1]);
  function toPart(step) {
    const list = step > 0 ? partStarts.filter((i) => i > now) : partStarts.filter((i) => i < now).reverse();
    return list.length ? go(list[0], "start") : false;
  }

  /* --- folding: hidden until found, so the browser's find still finds it --- */
  const folded = new Set();
  const isRest = (i) => boxes[i]?.classList.contains("rest") === true;
  /* `rest`: one of a folded attempt behind its first segment; only that one has a row. */
  function fold(i, words, rest = false) {
    folded.add(i);
    body(i).hidden = "until-found";
    boxes[i].classList.add("fold");
    boxes[i].classList.toggle("rest", rest);
    boxes[i].dataset.fold = words;
  }
  function show(i) {
    folded.delete(i);
    body(i).hidden = false;
    boxes[i].classList.remove("fold", "rest");
  }
  /* Opens a segment; of a folded attempt all of it. */
  function unfold(i) {
    if (!folded.has(i)) return;
    let first = i;
    while (isRest(first)) first -= 1;
    show(first);
    for (let next = first + 1; isRest(next); next++) show(next);
  }
  function step(by) {
    let i = now + by;
    while (isRest(i)) i += by;
    return go(Math.max(0, Math.min(boxes.length - 1, i)));
  }
  holder.addEventListener("beforematch", (event) => {
    const i = numbers.get(event.target.closest(".seg"));
    if (i !== undefined) { unfold(i); for (const act of followers) act(now); }
  });
  function toggleFold(list, words) {
    if (list.every((i) => folded.has(i))) list.forEach(unfold);
    else list.forEach((i) => fold(i, typeof words === "function" ? words(i) : words));
    for (const act of followers) act(now);
  }
  const foldHere = () => toggleFold([now], "folded");
  /* The attempt as one row: what it is and how long. */
  function foldPart() {
    const list = boxes.map((_, i) => i).filter((i) => s.parts[i] === s.parts[now]);
    if (list.every((i) => folded.has(i))) list.forEach(show);
    else {
      const size = list.reduce((sum, i) => sum + end(i) - starts[i], 0);
      const words = `${part(now)}: ${list.length} segments, ${size.toLocaleString("en")} characters`;
      list.forEach((i) => fold(i, words, i !== list[0]));
      go(list[0]);
    }
    for (const act of followers) act(now);
  }
  const foldRepeats = () => {
    const list = Object.keys(s.repeats).map(Number).filter((i) => !isRest(i));
    if (list.length) toggleFold(list, (i) => `says again what segment ${s.repeats[i] + 1} says`);
    return list.length;
  };

  /* --- what was on screen ------------------------------------------------- */
  const seconds = new Float64Array(boxes.length);
  let active = performance.now();
  for (const kind of ["keydown", "pointermove", "wheel", "scroll", "touchmove"]) {
    addEventListener(kind, () => { active = performance.now(); }, { passive: true, capture: true });
  }
  const idle = () => performance.now() - active > 30000 || document.hidden;
  let read = 0;  // code points that were on screen at all
  function see(i, time) {
    if (seconds[i] === 0 && time > 0) read += end(i) - starts[i];
    seconds[i] += time;
  }
  function tick(step, onScreen) { for (const i of onScreen) if (!folded.has(i)) see(i, step); }
  const coverage = () => (chars ? read / chars : 1);
  /* [start, end, seconds] of neighbours that were read, as few rows as say the same. */
  function reading() {
    const rows = [];
    for (let i = 0; i < boxes.length; i++) {
      if (seconds[i] > 0) rows.push([starts[i], end(i), Math.round(seconds[i] * 10) / 10]);
    }
    return rows;
  }
  function restoreReading(rows) {
    for (const [start, , time] of rows || []) {
      const i = boxAt(start);
      if (starts[i] === start && time > seconds[i]) see(i, time - seconds[i]);
    }
  }

  return {
    boxes, starts, end, range, body, kind, part, boxAt, positionOf, selected, domRange, quote,
    here, go, goTo, step, onMove, toPart, partStarts, foldHere, foldPart, foldRepeats, folded, unfold,
    idle, tick, coverage, reading, restoreReading, view, holder,
    number: (element) => numbers.get(element?.closest(".seg")),
  };
}

/* Counts what stands on the page, a slice at a time; `done(n)` when all boxes are counted. */
export function countShown(text, done) {
  let i = 0, total = 0;
  const slice = () => {
    const until = performance.now() + 6;
    while (i < text.boxes.length && performance.now() < until) {
      total += points(window.whittleMaths.sourceOf(text.body(i++)));
    }
    if (i < text.boxes.length) setTimeout(slice, 0); else done(total);
  };
  setTimeout(slice, 200);
}
