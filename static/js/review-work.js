/* What a reviewer can do to a trace: each function reads the state and makes one change. */

import { covers } from "./review-draw.js";

const overlaps = (a, b) => a.start < b.end && b.start < a.end;

/* `list` without `range`: what it cuts through keeps its ends. */
export function without(list, range) {
  const rest = [];
  for (const cut of list) {
    if (!overlaps(cut, range)) { rest.push(cut); continue; }
    if (cut.action === "condense") continue;
    if (cut.start < range.start) rest.push({ ...cut, end: range.start });
    if (cut.end > range.end) rest.push({ ...cut, start: range.end });
  }
  return rest;
}
export const withCut = (list, cut) => [...without(list, cut), cut].sort((a, b) => a.start - b.start);

const overlapping = (list, range) => list.filter((r) => overlaps(r, range));

export function makeWork(store, text, ask, data, tell) {
  let anchor = null;  // a box: keys act on everything from here to the current one
  const s = store.get;
  const schema = data.schema || {};
  const reasons = schema.cut_reasons || [];

  /* What an action takes: the selection, else the range that was begun, else the current box. */
  function target() {
    const chosen = text.selected();
    if (chosen) return { ...chosen, chosen: true };
    if (text.here() < 0) return null;
    const here = text.range(text.here());
    if (anchor === null) return here;
    const from = text.range(anchor);
    return { start: Math.min(from.start, here.start), end: Math.max(from.end, here.end), chosen: true };
  }
  function clear() {
    anchor = null;
    for (const b of text.holder.querySelectorAll(".anchor")) b.classList.remove("anchor");
    document.getSelection()?.removeAllRanges();
  }
  const plain = ({ start, end }) => ({ start, end });
  /* A cut with what follows from it: what is cut is not also said to have to stay. */
  function cutting(cut) {
    const freed = overlapping(s().kept, cut).length;
    store.change({ cuts: withCut(s().cuts, cut), ...(freed ? { kept: without(s().kept, cut) } : {}) });
    if (freed) tell("cut; it no longer has to stay");
  }
  /* A cut that a machine drew leaves alone what the reviewer wants to stay. */
  function cutAround(cut, more = {}) {
    const pieces = s().kept.reduce(without, [cut]);
    if (!pieces.length) { tell("all of it must stay; y takes that back"); return; }
    store.change({ cuts: pieces.reduce(withCut, s().cuts), ...more });
    if (overlapping(s().kept, cut).length) tell("cut around what must stay");
  }

  function toggleCut() {
    const range = target();
    if (!range) return;
    const cut = { ...plain(range), reason: "reviewer", action: "drop" };
    if (covers(s().cuts, range)) store.change({ cuts: without(s().cuts, range) }); else cutting(cut);
    clear();
  }
  async function cutWithReason() {
    const range = target();
    if (!range) return;
    const words = await ask({ title: "Why drop this?", at: range.start, quote: text.quote(range.start, range.end), choices: reasons, help: "A reason of the project, or your own words." });
    if (words) { cutting({ ...plain(range), reason: words, action: "drop" }); clear(); }
  }
  async function condense() {
    const range = target();
    if (!range) return;
    const old = s().cuts.find((c) => c.action === "condense" && overlaps(c, range));
    const words = await ask({ title: "Say it shorter", at: range.start, quote: text.quote(range.start, range.end), value: old?.text || "", help: "This text stands in its place in the derived trace." });
    if (words) { cutting({ ...plain(range), reason: "condensed", action: "condense", text: words }); clear(); }
  }
  function keep() {
    const range = target();
    if (!range) return;
    const had = s().kept.some((k) => k.start === range.start && k.end === range.end);
    store.change({
      kept: had ? s().kept.filter((k) => k.start !== range.start || k.end !== range.end) : [...s().kept, { ...plain(range), reason: "must stay" }],
      cuts: had ? s().cuts : without(s().cuts, range),
    });
    clear();
  }
  function accept(p) {
    if (s().cuts.some((c) => c.proposal === p.id) && covers([...s().cuts, ...s().kept], p)) { tell("accepted already; x rejects it"); return; }
    cutAround({ start: p.start, end: p.end, reason: p.reason, action: "drop", proposal: p.id }, { rejected: s().rejected.filter((id) => id !== p.id) });
  }
  function reject(p) {
    if (s().rejected.includes(p.id) && !overlapping(s().cuts, p).length) { tell("rejected already; a accepts it"); return; }
    store.change({ cuts: without(s().cuts, p), rejected: [...new Set([...s().rejected, p.id])] });
  }
  /* Everything behind the first correct answer, up to where the reasoning ends. */
  function cutTail() {
    if (data.first === null || data.first === undefined) { tell(data.hidden?.includes("verdict") ? "where it is right is hidden until you decide" : "no correct answer found to cut behind"); return; }
    const start = text.end(data.first);
    let last = text.boxes.length - 1;
    while (last > data.first && ["final_answer", "tag", "consolidation"].includes(text.kind(last))) last--;
    const end = text.end(last);
    if (end <= start) { tell("nothing stands behind the first correct answer"); return; }
    cutAround({ start, end, reason: "after the first correct answer", action: "drop" });
  }

  const labelAt = (i) => s().labels.find((l) => l.start === text.starts[i]);
  function setLabel(i, more) {
    const old = labelAt(i) || { ...text.range(i), label: null, flagged: false, alternative: "" };
    const next = { ...old, ...more };
    const rest = s().labels.filter((l) => l.start !== old.start);
    const empty = next.label === null && !next.flagged && !next.alternative;
    return empty ? rest : [...rest, next];
  }
  function label(value) {
    const i = text.here();
    if (i < 0) return;
    const same = labelAt(i)?.label === value;
    store.change({ labels: setLabel(i, { label: same ? null : value }) });
  }
  function flagStep() {
    const i = text.here();
    if (i >= 0) store.change({ labels: setLabel(i, { flagged: !labelAt(i)?.flagged }) });
  }
  async function alternative() {
    const i = text.here();
    if (i < 0) return;
    const r = text.range(i);
    const words = await ask({ title: "A better step", at: r.start, quote: text.quote(r.start, r.end), value: labelAt(i)?.alternative || "", empty: true });
    if (words !== null) store.change({ labels: setLabel(i, { alternative: words }) });
  }
  function firstError() {
    const i = text.here();
    if (i < 0) return;
    const at = text.starts[i];
    store.change({ first_error: s().first_error === at ? null : at });
  }
  /* First-error mode: this step is wrong, and every step before it without a label is right. */
  function firstErrorCascade() {
    const i = text.here();
    if (i < 0) return;
    const labels = new Map(s().labels.map((l) => [l.start, l]));
    for (let b = 0; b < i; b++) {
      const old = labels.get(text.starts[b]);
      if (text.kind(b) === "tag" || (old && old.label !== null)) continue;
      labels.set(text.starts[b], { ...text.range(b), flagged: false, alternative: "", ...old, label: 1 });
    }
    const old = labels.get(text.starts[i]);
    labels.set(text.starts[i], { ...text.range(i), flagged: false, alternative: "", ...old, label: -1 });
    store.change({ labels: [...labels.values()], first_error: text.starts[i], decision: s().decision || "flawed" });
  }
  async function span() {
    const range = target();
    if (!range) return;
    const words = await ask({ title: "Label this range", at: range.start, quote: text.quote(range.start, range.end), choices: schema.spans || [], help: "A label of the project, or your own word. The same again takes it away." });
    if (!words) return;
    const same = (x) => x.start === range.start && x.end === range.end && x.label === words;
    store.change({ spans: s().spans.some(same) ? s().spans.filter((x) => !same(x)) : [...s().spans, { ...plain(range), label: words }] });
    clear();
  }
  async function kind() {
    const i = text.here();
    if (i < 0) return;
    const words = await ask({ title: `What is segment ${i + 1}?`, quote: text.quote(text.starts[i], text.end(i)), choices: data.allKinds, only: true, help: `Now: ${text.kind(i).replaceAll("_", " ")}` });
    if (!words) return;
    const rest = s().kinds.filter((k) => k.start !== text.starts[i]);
    store.change({ kinds: words === text.kind(i) ? rest : [...rest, { ...text.range(i), kind: words, was: text.kind(i) }] });
  }
  /* What was said of a segment and has no place in the text: reasons, shorter words, labels. */
  function said(i) {
    const here = text.range(i), words = [];
    for (const c of overlapping(s().cuts, here)) words.push(c.action === "condense" ? `instead: ${c.text.slice(0, 120)}` : `cut: ${c.reason}`);
    if (overlapping(s().kept, here).length) words.push("must stay");
    for (const x of overlapping(s().spans, here)) words.push(`“${x.label}”`);
    return words.join(" · ");
  }
  function begin() {
    const i = text.here();
    if (i < 0) return;
    const same = anchor === i;
    clear();
    if (!same) { anchor = i; text.boxes[i].classList.add("anchor"); }
  }

  return {
    target, clear, toggleCut, cutWithReason, condense, keep, accept, reject, cutTail, label, flagStep,
    alternative, firstError, firstErrorCascade, span, kind, begin, said, labelAt, anchor: () => anchor,
  };
}
