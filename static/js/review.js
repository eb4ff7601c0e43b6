/* The review screen. One state object; every change goes through `change`, which redraws what it
   touches, keeps the undo history, and saves a draft. Ranges are code points: the page holds them
   as numbers made by the server, so nothing here counts characters. */
(function () {
  "use strict";
  const root = document.getElementById("review");
  if (!root) return;
  const byId = (id) => document.getElementById(id);
  const start = JSON.parse(byId("state").textContent);
  const text = byId("text");
  const segments = [...text.querySelectorAll(".seg")];
  const at = segments.map((s) => ({ el: s, start: +s.dataset.start, end: +s.dataset.end }));
  const csrf = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";

  const draft = start.draft && start.draft.decision !== undefined ? start.draft : {};
  let state = {
    decision: draft.decision || "",
    cuts: draft.cuts || [],
    labels: draft.labels || [],
    first_error: draft.first_error ?? null,
    note: draft.note || "",
    rejected: draft.rejected || [],
  };
  let past = [], future = [];
  let now = -1;
  const seen = new Set(draft.seen || []);
  let seconds = draft.seconds || 0;

  /* --- state ------------------------------------------------------------ */
  function change(next) {
    past.push(state);
    if (past.length > 500) past.shift();
    future = [];
    state = { ...state, ...next };
    draw();
    save();
  }
  function undo() { if (past.length) { future.push(state); state = past.pop(); draw(); save(); } }
  function redo() { if (future.length) { past.push(state); state = future.pop(); draw(); save(); } }

  const overlaps = (a, b) => a.start < b.end && b.start < a.end;
  const covered = (range) => state.cuts.some((c) => c.start <= range.start && range.end <= c.end);

  /* The cuts without `range`, and with it when `add` is given; neighbours stay apart. */
  function without(range) {
    const rest = [];
    for (const cut of state.cuts) {
      if (!overlaps(cut, range)) { rest.push(cut); continue; }
      if (cut.start < range.start) rest.push({ ...cut, end: range.start });
      if (cut.end > range.end) rest.push({ ...cut, start: range.end });
    }
    return rest;
  }
  const withCut = (range, reason) => [...without(range), { start: range.start, end: range.end, reason }]
    .sort((a, b) => a.start - b.start);

  function toggleCut() {
    const range = at[now];
    if (!range) return;
    change({ cuts: covered(range) ? without(range) : withCut(range, "reviewer") });
  }
  function accept(proposal) {
    change({
      cuts: withCut(proposal, proposal.reason),
      rejected: state.rejected.filter((id) => id !== proposal.id),
    });
  }
  function reject(proposal) {
    change({ cuts: without(proposal), rejected: [...new Set([...state.rejected, proposal.id])] });
  }
  function label(value) {
    const range = at[now];
    if (!range) return;
    const rest = state.labels.filter((l) => l.start !== range.start);
    const same = state.labels.some((l) => l.start === range.start && l.label === value);
    change({ labels: same ? rest : [...rest, { start: range.start, end: range.end, label: value }] });
  }
  function firstError() {
    const range = at[now];
    if (range) change({ first_error: state.first_error === range.start ? null : range.start });
  }

  /* --- drawing ---------------------------------------------------------- */
  const props = start.proposals.map((p) => ({ ...p, el: proposalRow(p) }));

  function proposalRow(p) {
    const row = document.createElement("div");
    row.className = "prop";
    row.tabIndex = -1;
    const chip = document.createElement("span");
    chip.className = "chip warn";
    chip.textContent = "proposal";
    const why = document.createElement("span");
    why.textContent = `${(p.end - p.start).toLocaleString("en")} characters: ${p.reason}`;
    row.append(chip, why);
    for (const [key, name, act] of [["a", "accept", accept], ["x", "reject", reject]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn plain";
      const kbd = document.createElement("kbd");
      kbd.textContent = key;
      button.append(kbd, ` ${name}`);
      button.addEventListener("click", () => act(p));
      row.append(button);
    }
    const holder = at.find((s) => s.end > p.start);
    if (holder) holder.el.before(row);
    return row;
  }

  let drawnCuts = null, drawnLabels = null;
  function draw() {
    if (drawnCuts !== state.cuts) {
      for (const s of at) s.el.classList.toggle("cut", state.cuts.some((c) => overlaps(c, s)));
      drawnCuts = state.cuts;
      measure();
      minimap();
    }
    if (drawnLabels !== state.labels) {
      const labels = new Map(state.labels.map((l) => [l.start, l.label]));
      for (const s of at) {
        if (labels.has(s.start)) s.el.dataset.label = labels.get(s.start);
        else delete s.el.dataset.label;
      }
      drawnLabels = state.labels;
    }
    for (const p of props) {
      p.el.classList.toggle("accepted", covered(p));
      p.el.classList.toggle("rejected", state.rejected.includes(p.id));
    }
    for (const s of text.querySelectorAll(".seg.error")) s.classList.remove("error");
    const wrong = at.find((s) => s.start === state.first_error);
    if (wrong) wrong.el.classList.add("error");
    byId("first-error").textContent = wrong ? `segment ${at.indexOf(wrong) + 1}` : "none";
    for (const b of root.querySelectorAll("[data-decision]")) {
      b.setAttribute("aria-checked", String(b.dataset.decision === state.decision));
    }
    if (byId("note").value !== state.note) byId("note").value = state.note;
    whereami();
  }

  function measure() {
    const dropped = state.cuts.reduce((n, c) => n + c.end - c.start, 0);
    byId("kept").value = start.chars - dropped;
    const tokens = (n) => (start.tokens ? ` (≈ ${Math.round(n / start.chars * start.tokens).toLocaleString("en")} tokens)` : "");
    byId("kept-n").textContent = (start.chars - dropped).toLocaleString("en") + tokens(start.chars - dropped);
    byId("dropped-n").textContent = dropped ? `−${dropped.toLocaleString("en")}${tokens(dropped)}` : "0";
    check();
  }

  function whereami() {
    const s = segments[now];
    byId("where-n").textContent = s ? `segment ${now + 1} of ${segments.length}` : `${segments.length} segments`;
    byId("where-part").textContent = s ? s.dataset.part : "";
    byId("where-kind").textContent = s ? s.dataset.kind.replace("_", " ") : "";
    byId("where-label").textContent = s && s.dataset.label !== undefined ? s.dataset.label : "unset";
    byId("read").textContent = `read ${segments.length ? Math.floor(100 * seen.size / segments.length) : 100} %`;
  }

  /* One mark per segment, drawn on a canvas so that 3,000 segments cost nothing. */
  const canvas = document.createElement("canvas");
  byId("map").append(canvas);
  function minimap() {
    const box = byId("map").getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = box.width * ratio;
    canvas.height = box.height * ratio;
    const pen = canvas.getContext("2d");
    const scale = canvas.height / Math.max(1, start.chars);
    const css = getComputedStyle(document.documentElement);
    const bad = css.getPropertyValue("--bad").trim();
    for (const s of at) {
      pen.fillStyle = getComputedStyle(s.el).borderLeftColor;
      const y = s.start * scale, h = Math.max(1, (s.end - s.start) * scale);
      pen.fillRect(4 * ratio, y, canvas.width - 8 * ratio, Math.max(1, h - 0.5));
    }
    pen.fillStyle = bad.startsWith("light-dark") ? "#b3261e" : bad || "#b3261e";
    for (const c of state.cuts) {
      pen.fillRect(0, c.start * scale, 4 * ratio, Math.max(1, (c.end - c.start) * scale));
    }
  }
  byId("map").addEventListener("click", (event) => {
    const box = byId("map").getBoundingClientRect();
    const position = (event.clientY - box.top) / box.height * start.chars;
    go(at.findIndex((s) => s.end > position));
  });

  /* --- moving ----------------------------------------------------------- */
  function go(index, block = "nearest") {
    if (index < 0 || index >= segments.length) return;
    if (now >= 0) segments[now].classList.remove("now");
    now = index;
    segments[now].classList.add("now");
    segments[now].scrollIntoView({ block });
    whereami();
  }
  const position = () => (at[now] ? at[now].start : -1);
  function toProposal(step) {
    const from = position();
    const list = step > 0 ? props.filter((p) => p.start > from) : props.filter((p) => p.start < from).reverse();
    const p = list[0] || (step > 0 ? null : props[0]);
    if (p) { go(at.findIndex((s) => s.end > p.start), "center"); p.el.scrollIntoView({ block: "nearest" }); }
  }
  /* The proposal that a key acts on: the one that holds the current segment, else the next one. */
  function proposalHere() {
    const range = at[now];
    if (!range) return props[0];
    return props.find((p) => overlaps(p, range)) || props.find((p) => p.start >= range.start);
  }

  /* --- what was read, and for how long ---------------------------------- */
  const watcher = new IntersectionObserver((entries) => {
    for (const e of entries) if (e.isIntersecting) seen.add(segments.indexOf(e.target));
    whereami();
  }, { root: text, threshold: 0.4 });
  segments.forEach((s) => watcher.observe(s));
  let lastActive = Date.now();
  for (const kind of ["keydown", "pointermove", "wheel", "scroll"]) {
    addEventListener(kind, () => { lastActive = Date.now(); }, { passive: true, capture: true });
  }
  setInterval(() => { if (Date.now() - lastActive < 30000 && !document.hidden) seconds += 1; }, 1000);

  /* --- saving ----------------------------------------------------------- */
  let timer = 0, saving = false, again = false, left = false;
  const chip = byId("saved");
  function told(kind, words) { chip.className = `chip ${kind}`; chip.textContent = words; }
  function payload() {
    return { ...state, seen: [...seen], seconds, segmenter: start.segmenter, epoch: start.epoch };
  }
  async function post(url, data) {
    return fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
      body: JSON.stringify(data),
    });
  }
  function save() {
    left = true;
    told("warn", "saving…");
    clearTimeout(timer);
    timer = setTimeout(saveNow, 250);
  }
  async function saveNow() {
    if (saving) { again = true; return; }
    saving = true;
    try {
      const answer = await post(root.dataset.draft, payload());
      if (!answer.ok) throw new Error(String(answer.status));
      const { lease } = await answer.json();
      left = again;
      told(lease || start.done ? "ok" : "warn", lease || start.done ? "saved" : "saved; the lease ran out");
    } catch (error) {
      told("bad", "not saved; trying again");
      timer = setTimeout(saveNow, 2000);
    } finally {
      saving = false;
      if (again) { again = false; saveNow(); }
    }
  }
  setInterval(() => { if (!document.hidden) saveNow(); }, 60000);
  addEventListener("beforeunload", (event) => { if (left) event.preventDefault(); });

  /* What the verifier says of the text that is left. */
  let checking = 0;
  function check() {
    clearTimeout(checking);
    const box = byId("after");
    if (!state.cuts.length) { box.textContent = "no cuts"; box.className = "dim"; return; }
    box.textContent = "checking…";
    checking = setTimeout(async () => {
      const asked = state.cuts;
      try {
        const answer = await post(root.dataset.preview, { cuts: asked });
        const result = await answer.json();
        if (asked !== state.cuts) return;
        box.className = `chip ${result.verdict || "error"}`;
        box.textContent = result.verdict || result.detail;
      } catch (error) { box.className = "chip error"; box.textContent = "could not be checked"; }
    }, 350);
  }

  async function submit() {
    if (!state.decision) { byId("problem").textContent = "Choose a decision first: s, f, b or 0."; return; }
    byId("submit").disabled = true;
    byId("problem").textContent = "";
    clearTimeout(timer);
    const coverage = segments.length ? seen.size / segments.length : 1;
    try {
      const answer = await post(root.dataset.submit, { ...payload(), coverage });
      const result = await answer.json();
      if (!answer.ok) throw new Error(result.detail || String(answer.status));
      left = false;
      location.assign(result.next);
    } catch (error) {
      byId("problem").textContent = `Not submitted: ${error.message}`;
      byId("submit").disabled = false;
      save();
    }
  }

  /* --- keys ------------------------------------------------------------- */
  const decide = (decision) => change({ decision });
  const KEYS = {
    j: () => go(Math.min(segments.length - 1, now + 1)),
    k: () => go(Math.max(0, now - 1)),
    n: () => toProposal(1),
    p: () => toProposal(-1),
    a: () => { const p = proposalHere(); if (p) accept(p); },
    x: () => { const p = proposalHere(); if (p) reject(p); },
    c: toggleCut,
    1: () => label(1), 2: () => label(0), 3: () => label(-1),
    e: firstError,
    u: undo, r: redo,
    s: () => decide("sound"), f: () => decide("flawed"), b: () => decide("bad_problem"), 0: () => decide("give_up"),
    Home: () => go(0, "start"), End: () => go(segments.length - 1, "end"),
  };
  let pending = "";
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); submit(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (pending === "g") {
      pending = "";
      if (event.key === "a") { go(segments.findIndex((s) => s.hasAttribute("data-first")), "center"); event.preventDefault(); event.stopImmediatePropagation(); }
      return;
    }
    if (event.key === "g") { pending = "g"; setTimeout(() => { pending = ""; }, 1000); return; }
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); event.stopImmediatePropagation(); act(); }
  }, true);

  for (const b of root.querySelectorAll("[data-decision]")) b.addEventListener("click", () => decide(b.dataset.decision));
  byId("submit").addEventListener("click", submit);
  byId("note").addEventListener("input", (event) => { state = { ...state, note: event.target.value }; save(); });
  text.addEventListener("click", (event) => {
    const s = event.target.closest(".seg");
    if (s && document.getSelection().isCollapsed) go(segments.indexOf(s));
  });
  addEventListener("resize", minimap);
  draw();
  go(location.hash.startsWith("#s") ? +location.hash.slice(2) : 0, location.hash ? "center" : "nearest");
  root.dataset.ready = "1";
})();
