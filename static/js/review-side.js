/* Beside the text: decision, the project's labels, comments, what others said, the where-am-I line. */

import { whyNot } from "./review-store.js";

const byId = (id) => document.getElementById(id);
const make = (tag, css, words) => {
  const element = document.createElement(tag);
  if (css) element.className = css;
  if (words !== undefined) element.textContent = words;
  return element;
};

/* A dialog that asks for words: resolves to the text, or null when left. A question that comes while
   another is open waits for its end. */
export function asker() {
  let turn = Promise.resolve();
  const askNow = questions();
  return (question) => {
    const answer = turn.then(() => askNow(question));
    turn = answer.catch(() => {});
    return answer;
  };
}

function questions() {
  const dialog = byId("words"), form = byId("words-form"), area = byId("words-text");
  const left = new Map();
  return ({ title, quote = "", choices = [], value = "", help = "", only = false, empty = false, unsent = false, at = "" }) => new Promise((done) => {
    byId("words-title").textContent = title;
    byId("words-quote").textContent = quote.length > 400 ? `${quote.slice(0, 250)} … ${quote.slice(-120)}` : quote;
    byId("words-help").textContent = help;
    area.value = value;
    area.hidden = byId("words-keep").hidden = only;
    const listeners = new AbortController();
    const selection = document.getSelection(), chosen = selection.isCollapsed ? null : selection.getRangeAt(0).cloneRange();
    /* What was typed and left (Escape is close at hand) is offered when the same is asked again. */
    const about = `${title}\n${at}\n${quote}`;
    if (left.has(about)) { area.value = left.get(about); byId("words-help").textContent = `You left these words here before. ${help}`; }
    const pick = (words) => {
      if (words === null && (unsent || area.value !== value) && area.value.trim()) left.set(about, area.value); else left.delete(about);
      listeners.abort();
      dialog.close();
      if (words === null && chosen) { document.getSelection().removeAllRanges(); document.getSelection().addRange(chosen); }
      done(words);
    };
    byId("words-choices").replaceChildren(...choices.map((words, i) => {
      const button = make("button", "btn tiny");
      button.type = "button";
      if (i < 9) button.append(make("kbd", "", String(i + 1)), " ");
      button.append(words.replaceAll("_", " "));
      button.addEventListener("click", () => pick(words));
      return button;
    }));
    const keys = (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); finish(); }
      const typed = event.target === area && area.value;
      if (!typed && /^[1-9]$/.test(event.key) && choices[event.key - 1]) { event.preventDefault(); pick(choices[event.key - 1]); }
    };
    const finish = () => pick(area.value.trim() || empty ? area.value : null);
    const submitted = (event) => { event.preventDefault(); if (event.submitter?.value === "ok") finish(); else pick(null); };
    const { signal } = listeners;
    dialog.addEventListener("keydown", keys, { signal });
    form.addEventListener("submit", submitted, { signal });
    dialog.addEventListener("cancel", () => pick(null), { signal });
    /* "close" comes a task late: one that finds the dialog open belongs to the question before. */
    dialog.addEventListener("close", () => { if (!dialog.open) pick(null); }, { signal });
    dialog.showModal();
    if (only) byId("words-choices").querySelector("button")?.focus(); else area.focus();
  });
}

export function makeSide(root, store, text, data) {
  /* --- decision and labels ------------------------------------------------------ */
  const choices = [...root.querySelectorAll("[data-decision]")];
  const fields = [...root.querySelectorAll("[data-label]")].filter((f) => f.dataset.type);
  function setValue(name, value) { store.change({ values: { ...store.get().values, [name]: value } }); }
  for (const field of fields) {
    const name = field.dataset.label, type = field.dataset.type;
    field.addEventListener("click", (event) => {
      const button = event.target.closest("[data-value]");
      if (!button) return;
      const old = store.get().values[name];
      if (type === "multi") {
        const list = old || [], value = button.dataset.value;
        setValue(name, list.includes(value) ? list.filter((v) => v !== value) : [...list, value]);
      } else {
        const value = type === "rating" ? +button.dataset.value : button.dataset.value;
        setValue(name, old === value ? null : value);
      }
    });
    field.querySelector("textarea")?.addEventListener("input", (event) => {
      store.type(`label-${name}`, { values: { ...store.get().values, [name]: event.target.value } });
    });
  }
  const note = byId("note");
  /* A field that is left shows its beginning, not the middle of a line. */
  for (const area of root.querySelectorAll(".rv-side textarea")) area.addEventListener("blur", () => { area.scrollTop = 0; });
  note?.addEventListener("input", () => store.type("note", { note: note.value }));
  byId("flagged")?.addEventListener("change", (event) => store.change({ flagged: event.target.checked }));
  for (const id of ["dispute-answer", "dispute-why"]) {
    byId(id)?.addEventListener("input", () => {
      const dispute = { answer: byId("dispute-answer").value, why: byId("dispute-why").value };
      store.type("dispute", { dispute: dispute.answer || dispute.why ? dispute : null });
    });
  }
  const put = (element, value) => { if (element && element !== document.activeElement && element.value !== value) element.value = value; };

  function draw(state) {
    for (const b of choices) {
      b.setAttribute("aria-checked", String(b.dataset.decision === state.decision));
      b.tabIndex = b.dataset.decision === (state.decision || "sound") ? 0 : -1;
    }
    for (const field of fields) {
      const value = state.values[field.dataset.label];
      for (const b of field.querySelectorAll("[data-value]")) {
        const on = Array.isArray(value) ? value.includes(b.dataset.value) : String(value ?? "") === b.dataset.value;
        b.setAttribute("aria-pressed", String(on));
      }
      put(field.querySelector("textarea"), value || "");
    }
    put(note, state.note);
    byId("flagged").checked = state.flagged;
    put(byId("dispute-answer"), state.dispute?.answer || "");
    put(byId("dispute-why"), state.dispute?.why || "");
    byId("dispute-state").textContent = state.dispute ? "Reference disputed" : "Reference wrong?";
    byId("first-error").textContent = state.first_error === null ? "none" : `segment ${text.boxAt(state.first_error) + 1}`;
  }

  /* --- where am I ------------------------------------------------------------------ */
  function where(said) {
    const i = text.here();
    if (i < 0) return;
    const label = store?.get().labels.find((l) => l.start === text.starts[i]);
    const kind = store?.get().kinds.find((k) => k.start === text.starts[i]);
    byId("where-n").textContent = `segment ${i + 1} of ${text.boxes.length}`;
    byId("where-part").textContent = text.part(i) || "Text";
    byId("where-kind").textContent = (kind?.kind || text.kind(i)).replaceAll("_", " ");
    const value = label?.label;
    if (byId("where-label")) byId("where-label").textContent = value === 1 ? "+1" : value === -1 ? "−1" : value === 0 ? "0" : "unset";
    const same = data.structure.repeats[i];
    byId("where-flags").textContent = [same !== undefined ? `repeats ${same + 1}` : "", said, text.folded.size ? `${text.folded.size} folded` : ""].filter(Boolean).join(" · ");
  }

  /* --- comments ------------------------------------------------------------------------ */
  const list = byId("comments");
  function comments() {
    const replies = (c) => data.comments.filter((r) => r.parent === c.id && !r.deleted);
    const threads = data.comments.filter((c) => c.parent === null && (!c.deleted || replies(c).length));
    if (!threads.length) { list.replaceChildren(make("p", "dim", "None.")); return; }
    list.replaceChildren(...threads.map((c) => {
      const box = make("div", c.resolved ? "comment settled" : "comment");
      for (const each of [c, ...replies(c)]) box.append(comment(each));
      const tools = make("p", "small");
      tools.append(action("reply", () => write(c)), " ", action(c.resolved ? "open again" : "settle", () => settle(c)));
      box.append(tools);
      return box;
    }));
  }
  function action(words, act) {
    const button = make("button", "btn plain tiny", words);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }
  function comment(c) {
    const row = make("p");
    row.append(make("b", "", c.author), " ");
    if (c.start !== null) row.append(action(`§${text.boxAt(c.start) + 1}`, () => text.goTo(c.start)), " ");
    if (c.deleted) { row.append(make("span", "dim", "deleted by its author")); return row; }
    row.append(make("span", "words", c.text));
    if (c.earlier.length) {
      const before = make("span", "dim", " (edited)");
      before.title = `before: ${c.earlier.join("\n— ")}`;
      row.append(before);
    }
    if (c.mine) row.append(" ", action("edit", () => edit(c)), action("delete", () => remove(c)));
    return row;
  }
  /* Sends words of a comment. Where that fails they are asked for again, with the reason. */
  async function deliver(asking, path, body) {
    let value = asking.value || "", help = asking.help, unsent = false;
    for (;;) {
      const words = await ask({ ...asking, value, help, unsent });
      if (!words || words === asking.value) return null;
      try {
        const answer = await post(path, { ...body, text: words });
        const said = await answer.json();
        if (answer.ok) return said;
        help = `Not kept: ${said.detail}`;
      } catch (error) { help = `Not kept: ${whyNot(error)}. Your words are here; try again.`; }
      value = words;
      unsent = true;
    }
  }
  const drawn = () => { comments(); changed(); };
  /* One's own comment: new words, or none; what it said before is kept. */
  async function edit(c) {
    const asking = { title: "Edit your comment", at: c.id, quote: c.start === null ? "" : text.quote(c.start, c.end), value: c.text, help: "What it said before is kept. People who are mentioned for the first time are told." };
    const found = await deliver(asking, `${root.dataset.comments}${c.id}/`, {});
    if (found) { Object.assign(c, found); drawn(); }
  }
  async function act(c, path, body) {
    try {
      const answer = await post(path, body), found = await answer.json();
      if (!answer.ok) throw new Error(found.detail);
      Object.assign(c, found);
      drawn();
    } catch (error) { window.alert(`That was not done: ${whyNot(error)}.`); }
  }
  const remove = (c) => window.confirm("Delete this comment?") && act(c, `${root.dataset.comments}${c.id}/`, { delete: true });
  const settle = (c) => act(c, `${root.dataset.comments}${c.id}/resolve/`, {});
  let ask = null, post = null;
  async function write(parent = null, range = null) {
    const asking = { title: parent ? "Reply" : "Comment", at: parent?.id ?? range?.start, quote: range ? text.quote(range.start, range.end) : "", help: `Mention people with @: ${(data.people || []).slice(0, 12).map((p) => `@${p}`).join(" ")}` };
    const found = await deliver(asking, root.dataset.comments, { parent: parent?.id ?? null, start: range?.start ?? null, end: range?.end ?? null });
    if (found) { data.comments.push(found); drawn(); }
  }
  let changed = () => {};
  function talk(askFor, send, repaint) { ask = askFor; post = send; changed = repaint; comments(); }

  /* --- what the others said (for the person who settles) ---------------------------------- */
  function others() {
    if (!data.disagreement) return;
    const rows = data.disagreement.reviews.map((r) => {
      const row = make("div", "row");
      row.append(make("span", "", r.user), make("span", "", `${r.decision.replace("_", " ")}, ${r.cuts.length} cuts${r.first_error === null ? "" : `, error at ${text.boxAt(r.first_error) + 1}`}${r.seconds ? `, ${Math.round(r.seconds)} s` : ""}`));
      if (r.note) row.title = r.note;
      return row;
    });
    byId("reviews-there").replaceChildren(make("h2", "", "What they said"), ...rows,
      make("p", "dim small", `${data.disagreement.ranges.length} places differ: N and P go there`));
  }
  return { draw, where, comments, write, talk, others };
}
