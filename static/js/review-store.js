/* What the reviewer has done: undo and redo over all of it, saved as it grows.

   A change is written to this browser's storage at once and sent to the server as the difference
   to what the server last confirmed; "saved" is said only when the server has said so. Network
   loss, a reload, a second tab, an ended session and a lost lease keep the text and offer it. */

import { painted } from "./review-lay.js";

const LISTS = { labels: key, cuts: key, spans: key3, kinds: key, kept: key, read: (r) => `${r[0]}-${r[1]}` };
function key(r) { return `${r.start}-${r.end}`; }
function key3(r) { return `${r.start}-${r.end}-${r.label}`; }
export const EMPTY = {
  decision: "", cuts: [], labels: [], spans: [], kinds: [], kept: [], rejected: [], values: {},
  dispute: null, first_error: null, flagged: false, note: "",
};
const pick = (from) => Object.fromEntries(Object.keys(EMPTY).map((k) => [k, from?.[k] ?? EMPTY[k]]));

/* What has to change in `old` to become `now`: {set: {field: value}, put: {list: rows}, drop: {list: keys}}. */
export function difference(old, now) {
  const found = { set: {}, put: {}, drop: {} };
  for (const name of Object.keys(now)) {
    const id = LISTS[name];
    if (old[name] === now[name]) continue;
    if (!id || !Array.isArray(old[name])) {
      if (JSON.stringify(old[name]) !== JSON.stringify(now[name])) found.set[name] = now[name];
      continue;
    }
    const before = new Map(old[name].map((r) => [id(r), JSON.stringify(r)]));
    const after = new Set(now[name].map(id));
    const put = now[name].filter((r) => before.get(id(r)) !== JSON.stringify(r));
    const drop = [...before.keys()].filter((k) => !after.has(k));
    if (put.length) found.put[name] = put;
    if (drop.length) found.drop[name] = drop;
  }
  return found;
}

export function makeStore(start, root, extra) {
  const base = root.dataset.base;
  const place = `whittle-draft-${document.body.dataset.account}-${base}`;  // app.js removes other accounts'
  const filled = start.draft && start.draft.decision !== undefined;
  let state = pick(filled ? start.draft : start.last);
  let past = [], future = [];
  const listeners = [];
  const changed = (old) => { for (const act of listeners) act(state, old); };
  const onChange = (act) => listeners.push(act);

  function apply(next, quiet) {
    const old = state;
    if (!quiet) { past.push(old); if (past.length > 1000) past.shift(); future = []; }
    state = { ...state, ...next };
    changed(old);
    save();
  }
  const change = (next) => apply(next, false);
  /* Typing: one undo step for a whole run of letters in a field. */
  let typing = "", typedAt = 0;
  function type(field, next) {
    const run = typing === field && performance.now() - typedAt < 1500;
    typing = field; typedAt = performance.now();
    apply(next, run);
  }
  function swap(from, to) {
    if (!from.length) return false;
    const old = state;
    to.push(state);
    state = from.pop();
    typing = "";
    changed(old);
    save();
    return true;
  }
  const undo = () => swap(past, future);
  const redo = () => swap(future, past);

  /* --- saving ------------------------------------------------------------- */
  let rev = start.draftRev, confirmed = filled ? { ...start.draft } : {};
  let csrf = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";
  let timer = 0, running = null, again = false, dirty = false, wait = 1000, stopped = false, leaving = false;
  let epoch = start.epoch, signingOut = false;
  const chip = document.getElementById("saved");
  const told = (css, words) => { if (chip) { chip.className = `chip ${css}`; chip.textContent = words; } };
  const snapshot = () => ({ ...state, ...extra(), segmenter: start.segmenter, epoch });
  const remember = () => {
    try { localStorage.setItem(place, JSON.stringify({ rev, at: Date.now(), state: snapshot() })); } catch { /* full or forbidden: the server has it */ }
  };
  /* Behind the paint that the key waits for; a page that is left before that remembers on leaving. */
  let remembering = false;
  function rememberSoon() {
    if (remembering) return;
    remembering = true;
    painted().then(() => { remembering = false; if (dirty && !stopped) remember(); });
  }
  const forget = () => { try { localStorage.removeItem(place); } catch { /* as above */ } };

  async function post(path, data, options = {}) {
    const send = () => fetch(path.startsWith("/") ? path : base + path, {
      method: "POST", redirect: "manual", credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
      body: JSON.stringify(data), ...options,
    });
    let answer = await send();
    if (answer.status === 403 && (await freshToken())) answer = await send();
    if (answer.type === "opaqueredirect" || answer.status === 401) throw new SignedOut();
    return answer;
  }
  /* After a new login (in another tab) the old token is refused; the page itself has the new one. */
  async function freshToken() {
    const answer = await fetch(location.pathname, { redirect: "manual", credentials: "same-origin" });
    if (answer.type === "opaqueredirect") throw new SignedOut();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = JSON.parse(page.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"];
    if (!found || found === csrf) return false;
    csrf = found;
    return true;
  }

  function save(delay = 120) {
    if (stopped) return;
    dirty = true;
    told("warn", "saving…");
    rememberSoon();
    clearTimeout(timer);
    timer = setTimeout(saveNow, delay);
  }
  function saveNow() {
    clearTimeout(timer);
    if (running) { again = true; return running; }
    running = send().finally(() => {
      running = null;
      if (again) { again = false; saveNow(); }
    });
    return running;
  }
  async function send(force = false) {
    const shown = state, sent = snapshot();
    const patch = difference(confirmed, sent);
    try {
      const answer = await post("draft/", { patch, rev, epoch, force, keys: Object.keys(sent) });
      const result = await answer.json();
      if (answer.status === 409) { rev = result.rev; confirmed = result.draft; conflict(result.draft); return; }
      if (!answer.ok) throw new Error(result.detail || String(answer.status));
      rev = result.rev;
      confirmed = sent;
      wait = 1000;
      lease(result);
      // What changed while this was under way is not saved: its own timer sends it.
      if (state === shown) { dirty = false; forget(); told(result.lease || start.done ? "ok" : "warn", result.lease || start.done ? "saved" : "saved; the lease ran out"); }
    } catch (error) {
      failed(error);
    }
  }
  function failed(error) {
    if (error instanceof SignedOut) {
      told("bad", "signed out: log in again in another tab; your work is kept here");
      wait = 4000;
    } else told("bad", navigator.onLine ? "not saved; trying again" : "offline; kept in this browser");
    clearTimeout(timer);
    timer = setTimeout(saveNow, wait);
    wait = Math.min(wait * 1.6, 15000);
  }
  addEventListener("online", () => { if (dirty) saveNow(); });

  /* --- the lease ----------------------------------------------------------- */
  let until = 0, alive = true;
  function lease(result) {
    alive = result.lease !== false;
    if (typeof result.until === "number") until = performance.now() + result.until * 1000;
  }
  const leaseLeft = () => (until ? Math.max(0, (until - performance.now()) / 1000) : null);
  async function beat() {
    if (stopped || start.done) return;
    try {
      const answer = await post("beat/", { epoch });
      if (answer.ok) lease(await answer.json());
    } catch (error) { if (error instanceof SignedOut) failed(error); }
  }

  /* --- two tabs --------------------------------------------------------------- */
  const dialog = document.getElementById("conflict");
  const counts = (d) => `${d.decision || "no decision"}, ${(d.cuts || []).length} cuts, ${(d.labels || []).length} steps${d.note ? `, note of ${d.note.length}` : ""}`;
  function conflict(theirs) {
    told("warn", "changed in another tab");
    document.getElementById("conflict-mine").textContent = counts(state);
    document.getElementById("conflict-theirs").textContent = counts(theirs);
    dialog.onclose = null;
    document.getElementById("keep-mine").onclick = () => { dialog.close(); send(true); };
    document.getElementById("take-theirs").onclick = () => {
      dialog.close();
      const old = state;
      past.push(old);
      state = pick(theirs);
      changed(old);
      dirty = false;
      forget();
      told("ok", "saved");
    };
    if (!dialog.open) dialog.showModal();
  }

  /* What this browser kept of a visit whose last words never reached the server. */
  function recover() {
    let kept = null;
    try { kept = JSON.parse(localStorage.getItem(place) || "null"); } catch { kept = null; }
    if (!kept?.state || start.readOnly) return false;
    if (JSON.stringify(pick(kept.state)) === JSON.stringify(state)) { forget(); return false; }
    if (kept.rev !== rev) {
      const theirs = { ...state };
      state = pick(kept.state);
      past.push(theirs);
      changed(theirs);
      conflict(theirs);
      return true;
    }
    const old = state;
    past.push(old);
    state = pick(kept.state);
    changed(old);
    save(0);
    return true;
  }

  addEventListener("pagehide", () => {
    if (!dirty || stopped || signingOut) return;
    remember();
    const patch = difference(confirmed, snapshot());
    post("draft/", { patch, rev, epoch, keys: Object.keys(snapshot()) }, { keepalive: true }).catch(() => {});
  });
  /* Signing out: the server gets the last words first, because this browser keeps none of them. */
  document.addEventListener("submit", async (event) => {
    if (!event.target.matches("form[data-signs-out]") || !dirty || stopped) return;
    event.preventDefault();
    await saveNow();
    if (dirty) await saveNow();
    signingOut = true;
    event.target.submit();
  });
  document.addEventListener("whittle:signed-out", () => {
    stopped = leaving = true;
    clearTimeout(timer);
    forget();
  });
  addEventListener("beforeunload", (event) => { if (dirty && !leaving) event.preventDefault(); });

  async function submit(more) {
    clearTimeout(timer);
    if (running) await running;
    const answer = await post("submit/", { ...snapshot(), ...more });
    const result = await answer.json();
    if (!answer.ok) { const error = new Error(result.detail || String(answer.status)); error.code = result.code; throw error; }
    stopped = leaving = true;
    dirty = false;
    forget();
    return result;
  }

  return {
    get: () => state, change, type, undo, redo, onChange, save, saveNow, post, submit, recover, beat,
    leaseLeft, isAlive: () => alive, isDirty: () => dirty, told, canUndo: () => past.length,
    leave: () => { leaving = true; }, token: () => csrf,
  };
}

export class SignedOut extends Error {}
/* Why a request came to nothing, in words that end a sentence. */
export const whyNot = (error) => {
  if (error instanceof SignedOut) return "you are signed out; log in again in another tab";
  return error instanceof TypeError ? "the server cannot be reached" : String(error.message || error);
};
