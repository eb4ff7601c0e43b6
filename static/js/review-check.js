/* What machines say: the verifier on what is left, tokens, seams, before and after, equations. */

import { whyNot } from "./review-store.js";

export function makeCheck(root, store, text, data, draw, tell) {
  const byId = (id) => document.getElementById(id);
  const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const number = (n) => grouped.format(n);
  let counts = null;  // tokens of each box in the student's tokenizer; null: estimates
  const total = () => (counts ? counts.total : data.tokens);
  const limit = data.schema?.token_limit || null;

  function tokensIn(ranges) {
    let n = 0;
    for (const r of ranges) {
      for (let i = text.boxAt(r.start); i < text.boxes.length && text.starts[i] < r.end; i++) {
        const low = Math.max(r.start, text.starts[i]), high = Math.min(r.end, text.end(i));
        n += counts.counts[i] * (high - low) / (text.end(i) - text.starts[i]);
      }
    }
    return n;
  }
  const tokensOf = (ranges, chars) => {
    if (counts) return tokensIn(ranges);
    return total() ? chars / data.chars * total() : null;
  };
  function length(state) {
    const chars = state.cuts.reduce((n, c) => n + c.end - c.start - [...(c.text || "")].length, 0);
    const cut = tokensOf(state.cuts, chars), all = total();
    const exact = counts ? "" : "≈ ";
    const words = (n, c) => (n === null ? `${number(c)} characters` : `${exact}${number(n)} tokens · ${number(c)} characters`);
    byId("kept-n").textContent = words(all === null || all === undefined ? null : all - cut, data.chars - chars);
    const over = limit && all ? all - cut - limit : 0;
    byId("left-n").textContent = !chars ? "" : !all ? `${number(data.chars - chars)} characters` : over > 0 ? `${exact}${number(over)} tokens over` : `${exact}${number(all - cut)} tokens`;
    byId("left-n").className = over > 0 ? "warn" : "dim";
    byId("dropped-n").textContent = chars ? `−${words(cut, chars)}` : "0";
    byId("length-how").textContent = counts ? "student's tokenizer" : all ? "tokens estimated by characters" : "";
    const span = Math.max(all || data.chars, limit || 0), unit = all ? all / span : 1;
    byId("bar-kept").style.width = `${100 * unit * (1 - chars / Math.max(1, data.chars))}%`;
    byId("bar-cut").style.width = `${100 * unit * chars / Math.max(1, data.chars)}%`;
    const line = byId("bar-limit");
    line.hidden = !limit || !all;
    if (!line.hidden) {
      line.style.left = `${100 * limit / span}%`;
      line.title = `the export's limit: ${number(limit)} tokens`;
      byId("budget").classList.toggle("over", all - cut > limit);
      if (all - cut > limit) byId("length-how").textContent += ` · ${number(all - cut - limit)} over the limit of ${number(limit)}`;
    }
  }
  async function tokens() {
    try {
      const answer = await fetch(`${root.dataset.base}tokens/`, { redirect: "manual" });
      const found = await answer.json();
      if (found.exact) { counts = found; length(store.get()); }
    } catch { /* estimates stay, and say so */ }
  }

  /* --- the verifier on the result ------------------------------------------- */
  let checking = 0, asked = null, verdict = null;
  function check(state) {
    clearTimeout(checking);
    const box = byId("after");
    byId("seams-box").hidden = !state.cuts.length;
    asked = state.cuts;
    verdict = null;
    if (!state.cuts.length) { box.textContent = "no cuts"; box.className = "dim"; return; }
    box.textContent = "checking…";
    box.className = "dim";
    checking = setTimeout(run, 350);
  }
  async function run() {
    const mine = asked, box = byId("after");
    try {
      const answer = await store.post("preview/", { cuts: mine });
      const result = await answer.json();
      if (mine !== store.get().cuts) return;
      verdict = result.hidden ? null : result.verdict || "error";
      box.className = result.hidden ? "dim" : `chip ${verdict}`;
      box.textContent = result.hidden ? "hidden until you decide" : result.verdict || result.detail;
      box.title = [result.extracted, result.reason].filter(Boolean).join(" · ");
      seams(result.seams || []);
    } catch (error) { box.className = "chip error"; box.textContent = "could not be checked"; verdict = "error"; }
  }
  function seams(list) {
    byId("seams-n").textContent = `${list.length} seam${list.length === 1 ? "" : "s"}`;
    byId("seams").replaceChildren(...list.map((seam) => {
      const row = document.createElement("p"), put = document.createElement("span"), before = document.createElement("span"), mark = document.createElement("button"), after = document.createElement("span");
      before.className = after.className = "model-text";
      before.textContent = seam.before.trimEnd().slice(-160);
      mark.type = "button";
      mark.className = "btn plain tiny";
      mark.textContent = `✂ ${number(seam.dropped)}`;
      mark.addEventListener("click", () => text.goTo(seam.at));
      after.textContent = seam.after.trimStart().slice(0, 160);
      row.className = "seam";
      put.className = "model-text ok";
      put.textContent = seam.put;
      row.append(before, mark, put, after);
      return row;
    }));
  }
  async function diff() {
    const body = byId("diff-body");
    if (!store.get().cuts.length) { tell("no cuts to show"); return; }
    body.textContent = "…";
    byId("diff").showModal();
    try {
      const answer = await store.post("diff/", { cuts: store.get().cuts });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      body.replaceChildren(...page.body.childNodes);
      window.whittleMaths.scan(body);
    } catch (error) { body.textContent = `It cannot be shown now: ${whyNot(error)}. Your cuts are kept.`; }
  }

  /* --- equations -------------------------------------------------------------- */
  const found = new Map();  // box -> checks in it
  async function checks() {
    try {
      const answer = await fetch(`${root.dataset.base}checks/`, { redirect: "manual" });
      const list = (await answer.json()).checks;
      for (const c of list) {
        const i = text.boxAt(c.start);
        found.set(i, [...(found.get(i) || []), c]);
        if (c.state !== "holds") chip(i, c);
      }
      paint();
    } catch { /* no evidence is shown; nothing depends on it */ }
  }
  function chip(i, c) {
    const note = document.createElement("span");
    note.className = `chip evidence ${c.state === "differs" ? "bad" : "unverifiable"}`;
    note.textContent = c.state === "differs" ? `${text.quote(c.start, c.end)}: ${c.text}` : c.text;
    text.boxes[i].append(note);
  }
  /* Blocks of code: run by the server's sandbox, asked for only where there are any. */
  async function code() {
    if (!text.holder.querySelector("code.block")) return;
    try {
      const answer = await fetch(`${root.dataset.base}checks/code/`, { redirect: "manual" });
      const list = (await answer.json()).checks;
      for (const old of text.holder.querySelectorAll(".chip.code")) old.remove();
      for (const c of list) {
        const note = document.createElement("span");
        note.className = `chip evidence code ${{ holds: "ok", differs: "bad" }[c.state] || "unverifiable"}`;
        note.textContent = c.text;
        text.boxes[text.boxAt(c.end - 1)].append(note);
      }
    } catch { /* as above */ }
  }
  function paint() {
    const all = [...found.values()].flat();
    draw.paint("holds", all.filter((c) => c.state === "holds"));
    draw.paint("differs", all.filter((c) => c.state === "differs"));
  }
  const said = (i) => {
    const here = found.get(i) || [], good = here.filter((c) => c.state === "holds").length;
    return here.length ? `${good} of ${here.length} equation${here.length > 1 ? "s hold" : " holds"}` : "";
  };
  return { length, check, tokens, diff, checks, code, paint, said, verdict: () => verdict };
}
