/* Draws the state onto the text: only boxes whose look changed are touched. */

const overlaps = (a, b) => a.start < b.end && b.start < a.end;
/* Whether cuts, one or several side by side, take all of a range. */
export function covers(cuts, r) {
  let at = r.start;
  for (const c of [...cuts].sort((a, b) => a.start - b.start)) if (c.start <= at && c.end > at) at = c.end;
  return at >= r.end;
}

/* Ranges as CSS highlights, so that parts of a box are marked without a change of the page. After
   every change of a page the browser goes over all ranges of all highlights (17 ms a key for 400 of
   them), so only those of boxes near the screen are given to it, anew when scrolling has ended. */
const NEAR = 12;    // boxes before and behind what is on screen
const MOST = 1000;  // ranges of one highlight: a letter that is looked for stands everywhere
function painter(text, seen) {
  const can = typeof Highlight !== "undefined" && CSS.highlights;
  const layers = new Map();  // name -> {near, boxes: box -> [{start, end}]}
  let timer = 0;

  /* What is on screen first, then as many boxes around it as are near. */
  function around(on, near) {
    const low = on[0] ?? 0, high = on.at(-1) ?? 0, order = [];
    for (let i = low; i <= high; i++) order.push(i);
    for (let far = 1; far <= near; far++) order.push(high + far, low - far);
    return order.filter((i) => i >= 0 && i < text.boxes.length);
  }
  function show() {
    const on = seen();
    for (const [name, { near, boxes }] of layers) {
      const there = [];
      for (const i of around(on, near)) {
        for (const r of boxes.get(i) || []) {
          const place = there.length < MOST && text.domRange(i, r.start, r.end);
          if (place) there.push(place);
        }
      }
      if (!there.length) { CSS.highlights.delete(name); continue; }
      const marks = new Highlight(...there);
      if (name === "find-now") marks.priority = 1;  // it lies over "find"
      CSS.highlights.set(name, marks);
    }
  }
  const soon = () => { clearTimeout(timer); timer = setTimeout(show, 100); };
  function paint(name, list, near = NEAR) {
    if (!can || (!list.length && !layers.has(name))) return;
    const boxes = new Map();
    for (const r of list) {
      for (let i = text.boxAt(r.start); i < text.boxes.length && text.starts[i] < r.end; i++) {
        if (boxes.has(i)) boxes.get(i).push(r); else boxes.set(i, [r]);
      }
    }
    layers.set(name, { near, boxes });
    soon();
  }
  text.view.addEventListener("scroll", () => { if (layers.size) soon(); }, { passive: true });
  return { paint, repaint: () => { if (layers.size) soon(); } };
}

export function makeDraw(text, lay, props) {
  const { paint, repaint } = painter(text, lay.seen);
  const marked = new Map();  // class -> set of box numbers that have it

  function mark(css, wanted) {
    const had = marked.get(css) || new Set();
    for (const i of had) if (!wanted.has(i)) text.boxes[i].classList.remove(css);
    for (const i of wanted) if (!had.has(i)) text.boxes[i].classList.add(css);
    marked.set(css, wanted);
  }

  /* Boxes wholly inside of some range, and the parts of those that are cut through. */
  function split(ranges) {
    const whole = new Set(), partly = [];
    for (const r of ranges) {
      for (let i = text.boxAt(r.start); i < text.boxes.length && text.starts[i] < r.end; i++) {
        const b = text.range(i);
        if (r.start <= b.start && b.end <= r.end) whole.add(i);
        else partly.push({ start: Math.max(r.start, b.start), end: Math.min(r.end, b.end) });
      }
    }
    return { whole, partly };
  }
  function cuts(list) {
    const { whole, partly } = split(list.filter((c) => c.action !== "condense"));
    const short = split(list.filter((c) => c.action === "condense"));
    mark("cut", whole);
    mark("part", new Set(partly.map((r) => text.boxAt(r.start))));
    mark("condensed", short.whole);
    paint("cut", partly);
    paint("condensed", short.partly);
  }
  let drawnLabels = new Map();
  function labels(list) {
    const now = new Map(list.map((l) => [text.boxAt(l.start), l]));
    for (const [i] of drawnLabels) if (!now.has(i)) for (const n of ["label", "alt", "stepflag"]) delete text.boxes[i].dataset[n];
    for (const [i, l] of now) {
      if (drawnLabels.get(i) === l) continue;
      const data = text.boxes[i].dataset;
      if (l.label === null || l.label === undefined) delete data.label; else data.label = l.label;
      if (l.alternative) data.alt = l.alternative.slice(0, 200); else delete data.alt;
      if (l.flagged) data.stepflag = "1"; else delete data.stepflag;
    }
    drawnLabels = now;
  }
  function spans(list) { paint("span", list); }
  function kept(list) { mark("keep", split(list).whole); }
  let drawnKinds = new Set();
  function kinds(list, hues) {
    const now = new Set();
    for (const k of list) {
      const i = text.boxAt(k.start);
      now.add(i);
      text.boxes[i].dataset.kind = k.kind.replaceAll("_", " ");
      text.boxes[i].className = text.boxes[i].className.replace(/hue-\w+/, `hue-${hues[k.kind] || "other"}`);
    }
    for (const i of drawnKinds) {
      if (now.has(i)) continue;
      delete text.boxes[i].dataset.kind;
      text.boxes[i].className = text.boxes[i].className.replace(/hue-\w+/, `hue-${hues[text.kind(i)] || "other"}`);
    }
    drawnKinds = now;
  }
  function firstError(at) { mark("error", at === null ? new Set() : new Set([text.boxAt(at)])); }
  function proposals(state) {
    for (const p of props()) {
      p.el.classList.toggle("accepted", state.cuts.some((c) => overlaps(c, p)) && covers([...state.cuts, ...state.kept], p));
      p.el.classList.toggle("rejected", state.rejected.includes(p.id));
    }
  }

  let last = {};
  function draw(state, hues) {
    if (last.cuts !== state.cuts) cuts(state.cuts);
    if (last.labels !== state.labels) labels(state.labels);
    if (last.spans !== state.spans) spans(state.spans);
    if (last.kept !== state.kept) kept(state.kept);
    if (last.kinds !== state.kinds) kinds(state.kinds, hues);
    if (last.first_error !== state.first_error) firstError(state.first_error);
    if (last.cuts !== state.cuts || last.kept !== state.kept || last.rejected !== state.rejected) proposals(state);
    last = state;
  }
  return { draw, repaint, mark, paint, overlaps };
}
