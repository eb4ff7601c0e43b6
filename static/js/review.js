/* The review screen: puts the parts together. Each part is a module of its own (review-*.js). */

import { makeCheck } from "./review-check.js";
import { makeDraw } from "./review-draw.js";
import { makeLay, painted } from "./review-lay.js";
import { makeKeys } from "./review-keys.js";
import { makeMap } from "./review-map.js";
import { makeParts } from "./review-parts.js";
import { asker, makeSide } from "./review-side.js";
import { EMPTY, makeStore, SignedOut, whyNot } from "./review-store.js";
import { countShown, makeText } from "./review-text.js";
import { makeWork } from "./review-work.js";

const byId = (id) => document.getElementById(id);
/* What follows is not needed to see the text: the browser shows that first. */
await painted();
const root = byId("review");
const data = JSON.parse(byId("state").textContent);
const reading = root.dataset.read !== undefined;
const text = makeText(root, data);
const lay = makeLay(text);
const ask = asker();
let seconds = data.draft?.seconds || 0;

/* --- a store that only reads, on the page without a queue ------------------- */
function readOnlyStore() {
  const csrf = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";
  const post = async (path, body) => {
    const answer = await fetch(path, { method: "POST", redirect: "manual", headers: { "Content-Type": "application/json", "X-CSRFToken": csrf }, body: JSON.stringify(body) });
    if (answer.type === "opaqueredirect" || answer.status === 401) throw new SignedOut();
    return answer;
  };
  return { get: () => EMPTY, change() {}, type() {}, undo: () => false, redo: () => false, onChange() {}, post, told() {} };
}
const store = reading ? readOnlyStore() : makeStore(data, root, () => ({ seconds, coverage: text.coverage(), read: text.reading() }));

/* --- proposals in the text --------------------------------------------------- */
const proposals = [];
function addProposals(list) {
  for (const p of list) {
    const row = document.createElement("div"), why = document.createElement("span"), chip = document.createElement("span");
    row.className = "prop";
    chip.className = "chip warn";
    chip.textContent = "proposal";
    why.textContent = `${(p.end - p.start).toLocaleString("en")} characters: ${p.reason}`;
    row.append(chip, why);
    for (const [key, name, act] of reading ? [] : [["a", "accept", () => work.accept(p)], ["x", "reject", () => work.reject(p)]]) {
      const button = document.createElement("button"), kbd = document.createElement("kbd");
      button.type = "button";
      button.className = "btn plain";
      kbd.textContent = key;
      button.append(kbd, ` ${name}`);
      button.addEventListener("click", act);
      row.append(button);
    }
    text.boxes[text.boxAt(p.start)]?.before(row);
    proposals.push({ ...p, el: row });
  }
}

const draw = makeDraw(text, lay, () => proposals);
/* Said beside the place until the next move. */
const tell = (words) => { byId("where-flags").textContent = byId("told").textContent = words; };
const work = makeWork(store, text, ask, data, tell);
const map = makeMap(byId("map"), text, lay, data);
const outline = makeParts(byId("parts"), text, lay.seen);
const side = makeSide(root, store, text, data);
const check = reading ? null : makeCheck(root, store, text, data, draw, tell);
addProposals(data.proposals);

let lastCuts = null, scores = null;
const checked = (i) => [reading ? "" : work.said(i), check?.said(i), scores?.said(i)].filter(Boolean).join(" · ");
function redraw() {
  const state = store.get();
  draw.draw(state, data.allHues || {});
  map.draw(state);
  if (reading) return;
  side.draw(state);
  side.where(checked(text.here()));
  if (lastCuts !== state.cuts) {
    lastCuts = state.cuts;
    check.length(state);
    check.check(state);
    effect?.then((e) => e.soon());
  }
}
store.onChange(redraw);
if (!reading) store.onChange(() => revealOnce());

/* --- moving -------------------------------------------------------------------- */
const inView = () => byId("read") && (byId("read").textContent = `read ${Math.floor(100 * text.coverage())} %`);
let linked = 0;
text.onMove((i) => {
  side.where(checked(i));
  tellHidden();
  clearTimeout(linked);
  draw.paint("link", []);
  linked = setTimeout(() => history.replaceState(null, "", `#s${i + 1}`), 400);
});
const place = () => (text.here() >= 0 ? text.starts[text.here()] : -1);
function along(list, step, block = "center") {
  const from = place(), sorted = [...list].sort((a, b) => a - b);
  const hit = step > 0 ? sorted.find((at) => text.boxAt(at) > text.here()) : sorted.reverse().find((at) => at < from && text.boxAt(at) < text.here());
  if (hit === undefined) tell(`none ${step > 0 ? "below" : "above"}`);
  else text.go(text.boxAt(hit), block);
}
function toProposal(step) {
  const from = place();
  const list = step > 0 ? proposals.filter((p) => p.start > from) : proposals.filter((p) => p.start < from).reverse();
  const p = list[0] || (step > 0 ? null : proposals[0]);
  if (p) showProposal(p); else tell(data.hidden?.includes("proposals") ? "proposals are hidden until you decide" : "no further proposal");
}
function showProposal(p) { text.go(text.boxAt(p.start), "center"); p.el.scrollIntoView({ block: "nearest" }); }
/* The proposal of the current segment. Where it has none the next one is only shown: a key must
   not change what may stand far away. */
function onProposal(act) {
  const here = text.here() < 0 ? null : text.range(text.here());
  const p = here && proposals.find((one) => draw.overlaps(one, here));
  if (p) { act(p); return; }
  const next = proposals.find((one) => !here || one.start >= here.start);
  if (!next) { tell("no proposal here or below"); return; }
  showProposal(next);
  tell("the next proposal; once more to decide");
}
const differing = () => (data.disagreement?.ranges || []).map((r) => r[0]);
const answers = () => data.answers.map((a) => a.start);
function goTo() {
  const dialog = byId("goto"), field = byId("goto-n"), why = byId("goto-why");
  field.value = "";
  why.textContent = "";
  byId("goto-form").onsubmit = (event) => {
    event.preventDefault();
    const wanted = parseInt(field.value, 10);
    if (!Number.isFinite(wanted)) { why.textContent = "A number, please."; return; }
    const i = Math.max(1, Math.min(text.boxes.length, wanted));
    if (i !== wanted) why.textContent = `There is no ${wanted}; this is ${i}.`;
    text.go(i - 1, "center");
    if (i === wanted) dialog.close();
  };
  dialog.showModal();
}
function focusView() {
  text.unfold(text.here());
  root.classList.toggle("focus");
  text.go(text.here(), "center");
}
/* Under the text: what of it the reader has put out of sight. */
function tellHidden() {
  const parts = [];
  if (root.classList.contains("focus")) parts.push(`focus: 1 of ${text.boxes.length} segments, . shows all`);
  else if (text.folded.size) parts.push(`${text.folded.size} segments folded`);
  const words = parts.length ? ` · ${parts[0]}` : "";
  if (byId("all-hidden").textContent === words) return;
  byId("all-hidden").textContent = words;
  if (parts.length) tell(parts[0]);
}
let finder = null;
async function find() {
  finder ||= import("./review-find.js").then((m) => m.makeFind(text, draw, (hits) => { data.found = hits; map.later(); }));
  try { (await finder).open(); } catch (error) { finder = null; tell(`find cannot be opened: ${whyNot(error)}`); }
}
function compare() {
  const form = byId("compare-form");
  if (!form) { tell("the other traces are hidden until you decide"); return; }
  if (!form.querySelector("input[type=checkbox]")) { tell("the problem has no other trace"); return; }
  const chosen = form.querySelectorAll("input[name=t]:checked");
  if (!chosen.length) [...form.querySelectorAll("input[type=checkbox]")].slice(0, 1).forEach((c) => { c.checked = true; });
  form.requestSubmit();
}

/* --- deciding --------------------------------------------------------------------- */
const problem = (words) => { byId("problem").textContent = words; };
async function decide(decision) {
  store.change({ decision: store.get().decision === decision ? "" : decision });
  await revealed;
  (await effects())?.soon();
}
/* What it would do to the next export: its module is asked for when it is first needed. */
let effect = null;
async function effects() {
  effect ||= import("./review-effects.js").then((m) => m.makeEffects(store, () => ({ seconds, coverage: text.coverage(), read: text.reading() })));
  try { return await effect; } catch (error) { effect = null; tell(`what it does cannot be shown: ${whyNot(error)}`); return null; }
}
/* A first judgement, by whatever key it was made, shows what was hidden; tried again until it is stored. */
class Refused extends Error {}
let revealed = null, revealing = 0, unrevealed = "";
function revealOnce() {
  clearTimeout(revealing);
  if (!data.hidden.length || !store.get().decision || revealed) return;
  const say = (words) => {  // what a submission said stays
    if (["", unrevealed].includes(byId("problem").textContent)) problem(words);
    unrevealed = words;
  };
  revealed = reveal().then(() => say(""), (error) => {
    const passing = !(error instanceof Refused);
    say(`Your first judgement is not stored yet, so nothing is shown: ${whyNot(error)}.${passing ? " It is tried again." : ""}`);
    if (passing) revealing = setTimeout(revealOnce, 4000);
  }).finally(() => { revealed = null; });
}
/* The first judgement is stored, then what was hidden is shown; it can be changed after that. */
async function reveal() {
  const answer = await store.post("commit/", { decision: store.get().decision, seconds });
  if (answer.status >= 500) throw new Error(`the server answered ${answer.status}`);
  if (!answer.ok) throw new Refused((await answer.json()).detail);
  const shown = await answer.json();
  data.hidden = [];
  const page = new DOMParser().parseFromString(shown.evidence, "text/html");
  byId("evidence").replaceChildren(...page.body.childNodes);
  window.whittleMaths.scan(byId("evidence"));
  if (!proposals.length) { data.proposals.push(...shown.proposals); addProposals(shown.proposals); }
  data.answers = shown.answers;
  outline.ends(shown.answers);
  data.first = shown.first;
  check.code();
  check.check(store.get());
  stepScores();
  if (shown.first !== null) text.boxes[shown.first].dataset.first = "";
  redraw();
}
let warned = "", submitting = false;
/* Why a review cannot be sent as it is, or "". */
function notYet(state) {
  if (!state.decision) return "Choose a decision first: s, f, b or 0.";
  const verdict = check.verdict(), cuts = JSON.stringify(state.cuts);
  if (state.decision === "sound" && state.cuts.length && verdict !== "correct" && warned !== cuts) {
    warned = cuts;
    return `After your cuts the verifier says: ${verdict || "not checked yet"}. Submit again to do so anyway.`;
  }
  if (data.minCoverage && state.decision !== "give_up" && text.coverage() < data.minCoverage) {
    return `This queue asks that ${Math.round(100 * data.minCoverage)} % is read; it is ${Math.floor(100 * text.coverage())} %.`;
  }
  return "";
}
async function submit() {
  if (submitting) return;
  byId("submit").disabled = submitting = true;
  await revealed;  // what was hidden is seen, and its words are gone, before this says its own
  const why = notYet(store.get());
  problem(why);
  const gone = !why && await sent();
  byId("submit").disabled = submitting = gone;
}
/* Whether it was taken; then the next item is on its way. */
async function sent() {
  try {
    const result = await store.submit({});
    if (result.take) goOn(result.next); else location.assign(result.next);
    return true;
  } catch (error) {
    problem(error instanceof TypeError ? "Not submitted: the server cannot be reached. Your work is kept; submit again." : `Not submitted: ${error.message || "signed out; log in again in another tab"}`);
    store.save();
    return false;
  }
}
/* Taking an item changes something, so it is posted; the token may be of a later login than the form's. */
function goOn(address) {
  const form = byId("go-on");
  form.action = address;
  form.elements.csrfmiddlewaretoken.value = store.token();
  form.submit();
}
/* Back to a page that the browser kept as it was when it was left: its work was submitted. */
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

/* --- the selection's own bar --------------------------------------------------------- */
const pop = byId("pop");
const POP = reading ? [["m", "comment", () => side.write(null, text.selected())]] : [
  ["c", "cut", () => work.toggleCut()], ["C", "cut, why", () => work.cutWithReason()], ["l", "shorter", () => work.condense()],
  ["y", "keep", () => work.keep()], ["q", "label", () => work.span()], ["m", "comment", () => side.write(null, text.selected())],
];
for (const [key, name, act] of POP) {
  const button = document.createElement("button"), kbd = document.createElement("kbd");
  button.type = "button";
  button.className = "btn tiny";
  kbd.textContent = key;
  button.append(kbd, ` ${name}`);
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => { act(); pop.hidden = true; });
  pop.append(button);
}
function placePop() {
  const range = text.selected();
  if (!range) { pop.hidden = true; return; }
  const box = document.getSelection().getRangeAt(0).getBoundingClientRect(), view = text.view.getBoundingClientRect();
  pop.hidden = box.bottom < view.top || box.top > view.bottom;
  pop.style.left = `${Math.max(8, Math.min(innerWidth - pop.offsetWidth - 8, box.left))}px`;
  pop.style.top = `${box.top > 90 ? box.top - pop.offsetHeight - 6 : Math.min(innerHeight - 60, box.bottom + 6)}px`;
}
document.addEventListener("selectionchange", placePop);
text.view.addEventListener("scroll", () => { if (!pop.hidden || !document.getSelection().isCollapsed) placePop(); }, { passive: true });
/* Keys for a step mean the one that was just selected in, without moving the text under the mouse. */
text.holder.addEventListener("pointerup", () => {
  const range = text.selected();
  if (range) text.go(text.boxAt(range.start), null);
});
const commentHere = () => {
  const range = text.selected() || (text.here() >= 0 ? text.range(text.here()) : null);
  side.write(null, range);
};
const toggleBox = (id, missing) => { const box = byId(id); if (!box) tell(missing); else { box.open = !box.open; if (box.open) box.querySelector("[tabindex], input")?.focus(); } };

/* --- keys ---------------------------------------------------------------------------- */
/* A screen of the text, wherever the focus is: it does not scroll by itself before it is clicked. */
function page(step) {
  text.view.scrollBy(0, step * (text.view.clientHeight - 48));
  follow();
}
/* Keys mean the segment that is marked: once it is off screen that is the first one on it. */
function follow() {
  const box = text.boxes[text.here()]?.getBoundingClientRect(), view = text.view.getBoundingClientRect();
  if (box && box.bottom > view.top && box.top < view.bottom) return;
  const [first] = lay.seen();
  if (first !== undefined) text.go(first, null);
}
let rolled = 0;
text.view.addEventListener("wheel", () => { clearTimeout(rolled); rolled = setTimeout(follow, 150); }, { passive: true });
/* Says what a step back or forth was about: it may be off screen. */
function back(step, words) {
  const old = store.get();
  if (!step()) { tell(`nothing more to be ${words}`); return; }
  const names = Object.keys(EMPTY).filter((k) => old[k] !== store.get()[k]);
  tell(`${words}: ${names.join(", ").replaceAll("_", " ")}`);
}
const MOVES = [
  { group: "Moving", keys: ["j", "ArrowDown"], words: "next segment", repeats: true, act: () => text.step(1) },
  { group: "Moving", keys: ["k", "ArrowUp"], words: "previous segment", repeats: true, act: () => text.step(-1) },
  { group: "Moving", keys: ["J", "]"], words: "next attempt or part", repeats: true, act: () => { if (!text.toPart(1)) tell("no part below"); } },
  { group: "Moving", keys: ["K", "["], words: "previous attempt or part", repeats: true, act: () => { if (!text.toPart(-1)) tell("no part above"); } },
  { group: "Moving", keys: ["g a"], words: "first correct answer", act: () => { if (!text.go(data.first ?? -1, "center")) tell(data.hidden?.includes("verdict") ? "hidden until you decide" : "no correct answer found"); } },
  { group: "Moving", keys: ["g n"], words: "next stated answer", act: () => along(answers(), 1) },
  { group: "Moving", keys: ["g p"], words: "previous stated answer", act: () => along(answers(), -1) },
  { group: "Moving", keys: ["g d"], words: "next drop of the score", act: () => along(scores?.drops || [], 1) },
  { group: "Moving", keys: ["g D"], words: "previous drop of the score", act: () => along(scores?.drops || [], -1) },
  { group: "Moving", keys: ["g t", ":"], words: "go to segment n", act: goTo },
  { group: "Moving", keys: ["n"], words: "next proposal", repeats: true, act: () => toProposal(1) },
  { group: "Moving", keys: ["p"], words: "previous proposal", repeats: true, act: () => toProposal(-1) },
  { group: "Moving", keys: ["N"], words: "next place where reviewers differ", act: () => along(differing(), 1) },
  { group: "Moving", keys: ["P"], words: "previous place where reviewers differ", act: () => along(differing(), -1) },
  { group: "Moving", keys: ["Home", "g g"], words: "first segment", act: () => text.go(0, "start") },
  { group: "Moving", keys: ["End", "G"], words: "last segment", act: () => text.go(text.boxes.length - 1, "end") },
  { group: "Moving", keys: ["PageDown", "Space"], words: "a screen on", repeats: true, act: () => page(1) },
  { group: "Moving", keys: ["PageUp", "Shift+Space"], words: "a screen back", repeats: true, act: () => page(-1) },
  { group: "Reading", keys: ["/"], words: "find in the trace", act: find },
  { group: "Reading", keys: ["o"], words: "fold or open this segment", act: () => text.foldHere() },
  { group: "Reading", keys: ["O"], words: "fold or open this attempt", act: () => text.foldPart() },
  { group: "Reading", keys: ["z"], words: "fold or open what only repeats", act: () => { if (!text.foldRepeats()) tell("nothing only repeats"); } },
  { group: "Reading", keys: ["."], words: "focus: this segment alone", act: focusView },
  { group: "Reading", keys: ["v"], words: "compare with the chosen traces", act: compare },
  { group: "Reading", keys: ["m"], words: "comment on the selection or segment", act: commentHere },
  { group: "Reading", keys: ["Escape"], words: "let go of a selection or a begun range", act: () => { finder?.then((f) => f.close()); work.clear(); root.classList.remove("focus"); tellHidden(); } },
];
const WORK = [
  { group: "Cutting", keys: ["a"], words: "accept the proposal", act: () => onProposal(work.accept) },
  { group: "Cutting", keys: ["x"], words: "reject the proposal", act: () => onProposal(work.reject) },
  { group: "Cutting", keys: ["h"], words: "begin a range here; the next key takes all of it", act: () => work.begin() },
  { group: "Cutting", keys: ["c"], words: "cut, or take the cut back", act: () => work.toggleCut() },
  { group: "Cutting", keys: ["C"], words: "cut with a reason", act: () => work.cutWithReason() },
  { group: "Cutting", keys: ["l"], words: "condense: a shorter text in its place", act: () => work.condense() },
  { group: "Cutting", keys: ["y"], words: "keep: this must stay", act: () => work.keep() },
  { group: "Cutting", keys: ["T"], words: "cut all behind the first correct answer", act: () => work.cutTail() },
  { group: "Cutting", keys: ["d"], words: "before and after", act: () => check.diff() },
  { group: "Steps", keys: ["1"], words: "right (+1); again: unset", act: () => work.label(1) },
  { group: "Steps", keys: ["2"], words: "neither (0)", act: () => work.label(0) },
  { group: "Steps", keys: ["3"], words: "wrong (−1)", act: () => work.label(-1) },
  { group: "Steps", keys: ["e"], words: "first error is here", act: () => work.firstError() },
  { group: "Steps", keys: ["E"], words: "first error here, all before it right", act: () => work.firstErrorCascade() },
  { group: "Steps", keys: ["*"], words: "flag this step", act: () => work.flagStep() },
  { group: "Steps", keys: ["A"], words: "write a better step", act: () => work.alternative() },
  { group: "Steps", keys: ["t"], words: "correct the kind", act: () => work.kind() },
  { group: "Steps", keys: ["q"], words: "label the selection or segment", act: () => work.span() },
  { group: "Judging", keys: ["s"], words: "sound", act: () => decide("sound") },
  { group: "Judging", keys: ["f"], words: "flawed", act: () => decide("flawed") },
  { group: "Judging", keys: ["b"], words: "bad problem", act: () => decide("bad_problem") },
  { group: "Judging", keys: ["0"], words: "give up", act: () => decide("give_up") },
  { group: "Judging", keys: ["D"], words: "effect on the next export", act: async () => (await effects()).open() },
  { group: "Judging", keys: ["!"], words: "flag the trace", act: () => store.change({ flagged: !store.get().flagged }) },
  { group: "Judging", keys: ["i"], words: "write a note", act: () => byId("note").focus() },
  { group: "Judging", keys: ["w"], words: "the guideline", act: () => toggleBox("guideline-box", "this project has no guideline") },
  { group: "Judging", keys: ["u", "Ctrl+z"], words: "undo", repeats: true, act: () => back(store.undo, "undone") },
  { group: "Judging", keys: ["r", "Ctrl+Shift+z", "Ctrl+y"], words: "redo", repeats: true, act: () => back(store.redo, "done again") },
  { group: "Judging", keys: ["Ctrl+Enter"], words: "submit and take the next", act: submit },
];
makeKeys(reading ? MOVES : [...MOVES, ...WORK], byId("sheet"), (name) => tell(`${name}: no such key; ? lists them`));

/* --- mouse ----------------------------------------------------------------------------- */
text.holder.addEventListener("click", (event) => {
  const box = event.target.closest(".seg");
  if (!box || !document.getSelection().isCollapsed) return;
  const link = event.target.closest("a.n");
  if (link) event.preventDefault();
  const i = text.number(box);
  if (text.folded.has(i)) text.unfold(i);
  text.go(i);
  if (link) history.replaceState(null, "", link.hash);
});
byId("parts").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link) { event.preventDefault(); text.go(+link.dataset.box, "start"); text.view.focus({ preventScroll: true }); }
});
if (!reading) {
  const choices = [...root.querySelectorAll("[data-decision]")];
  choices.forEach((b, i) => {
    b.addEventListener("click", () => decide(b.dataset.decision));
    b.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      choices[(i + step + choices.length) % choices.length].focus();
    });
  });
  byId("submit").addEventListener("click", submit);
  byId("effects-open").addEventListener("click", async () => (await effects()).open());
  root.querySelector("#skip-box form").addEventListener("submit", () => store.leave());
}

/* A fragment that finds the session ended reloads its page; not while there is unsaved work here. */
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (!reading && store.isDirty() && event.detail.xhr.getResponseHeader("HX-Refresh")) event.preventDefault();
});

/* --- start ------------------------------------------------------------------------------- */
function fromHash() {
  const hash = location.hash;
  const range = hash.match(/^#c(\d+)-(\d+)$/), box = hash.match(/^#s(\d+)$/);
  if (range) {
    text.goTo(+range[1]);
    clearTimeout(linked);  // the address stays the one of the range
    draw.paint("link", [{ start: +range[1], end: +range[2] }]);
  }
  else text.go(box ? Math.max(0, Math.min(text.boxes.length, +box[1]) - 1) : 0, box ? "center" : "nearest");
}
addEventListener("hashchange", fromHash);
text.restoreReading(data.draft?.read);
const paintComments = () => draw.paint("comment", data.comments.filter((c) => c.start !== null && !c.resolved && !c.deleted));
side.talk(ask, store.post, paintComments);
side.others();
fromHash();
map.size();
redraw();
if (!reading) { store.recover(); revealOnce(); }
root.dataset.ready = "1";

const later = window.requestIdleCallback || ((act) => setTimeout(act, 300));
later(() => {
  paintComments();
  if (!reading) { check.tokens(); check.checks(); check.code(); stepScores(); }
});
/* Scores of process reward models, asked for when nothing else waits, and again after a reveal. */
async function stepScores() {
  try {
    const { makeScores } = await import("./review-scores.js");
    scores = await makeScores(root, text, data, map.later);
    if (scores) { root.dataset.scored = "1"; side.where(checked(text.here())); }
  } catch { /* no scores are shown; nothing depends on them */ }
}
/* What polls the state of the server looks at every element of a page when it starts: last. */
function loadHtmx() {
  const script = document.createElement("script");
  script.src = document.querySelector("meta[name=htmx]").content;
  document.head.append(script);
}
lay.all(() => {
  root.dataset.laid = "1";
  later(loadHtmx);
  map.later();
  countShown(text, (n) => {
    byId("shown-n").textContent = n.toLocaleString("en");
    if (n !== data.chars) { byId("all").classList.add("bad"); byId("all").append(" — something is missing; the text as stored has all of it"); }
    root.dataset.shown = n;
  });
});
document.addEventListener("maths:split", draw.repaint);
let beats = 0;
setInterval(() => {
  if (text.idle()) return;
  seconds += 1;
  text.tick(1, lay.seen());
  inView();
  map.later();
  beats += 1;
  if (!reading && beats % 20 === 0 && !store.isDirty()) store.save(0);
  else if (!reading && beats % 60 === 0) store.beat();
}, 1000);
if (!reading) {
  store.beat();
  setInterval(() => {
    const left = store.leaseLeft();
    if (left === null || data.done) return;
    const minutes = Math.floor(left / 60), rest = String(Math.floor(left % 60)).padStart(2, "0");
    byId("lease").textContent = store.isAlive() && left > 0 ? `lease ${minutes}:${rest}` : "lease ran out; you may still submit while the place is free";
  }, 1000);
}
