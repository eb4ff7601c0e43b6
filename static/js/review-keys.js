/* One table of keys: what acts, and what the `?` sheet shows, are the same rows.

   Guards: typing in a field, an open dialog, a modifier, a radio group or slider that owns arrow
   keys, and a held key that would repeat an action that is not a move. */

/* A dialog that has just closed keeps the focus in its field until the next frame. */
const typing = (target) => target instanceof HTMLElement && !target.closest("dialog:not([open])")
  && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
    && !["checkbox", "radio", "button", "submit"].includes(target.type));

/* A slider, a group of choices and a region that scrolls by itself (not the trace) keep these keys. */
const ownsArrows = (target) => Boolean(target.closest?.("[role=slider], [role=radio]")
  || target.matches?.("[tabindex='0']:not(#text, .scroller, button, a)"));

/* `unknown` is told of a second key that means nothing behind the first. */
export function makeKeys(table, sheet, unknown = () => {}) {
  const acts = new Map();
  for (const row of table) for (const name of row.keys) acts.set(name, row);
  const firsts = new Set(table.flatMap((r) => r.keys.filter((k) => k.length > 2 && k.includes(" ")).map((k) => k.split(" ")[0])));
  let pending = "", since = 0;

  function fill() {
    const groups = new Map();
    for (const row of table) groups.set(row.group, [...(groups.get(row.group) || []), row]);
    sheet.querySelector("#sheet-keys").replaceChildren(...[...groups].map(([name, rows]) => {
      const box = document.createElement("section"), head = document.createElement("h3"), list = document.createElement("dl");
      head.textContent = name;
      for (const row of rows) {
        const term = document.createElement("dt"), words = document.createElement("dd");
        row.keys.forEach((key, i) => {
          if (i) term.append(" / ");
          for (const part of key.split(" ")) { const k = document.createElement("kbd"); k.textContent = part; term.append(k, " "); }
        });
        words.textContent = row.words;
        list.append(term, words);
      }
      box.append(head, list);
      return box;
    }));
  }
  function nameOf(event) {
    const key = event.key === " " ? (event.shiftKey ? "Shift+Space" : "Space") : event.key;
    return (event.ctrlKey || event.metaKey ? `Ctrl+${event.shiftKey && key.length === 1 ? "Shift+" : ""}${key.length === 1 ? key.toLowerCase() : key}` : key);
  }
  function run(row, event) {
    if (event.repeat && !row.repeats) { event.preventDefault(); return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    row.act(event);
  }
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey) return;
    const open = document.querySelector("dialog:modal");
    if (event.key === "?" && !typing(event.target)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (sheet.open) sheet.close();
      else if (!open) { fill(); sheet.showModal(); }
      return;
    }
    if (open || event.target.closest?.("dialog[open]")) return;
    const name = nameOf(event);
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      else if (name === "Ctrl+Enter" && acts.has(name)) run(acts.get(name), event);
      return;
    }
    if (ownsArrows(event.target) && /^(Arrow|Page|Home|End| )/.test(event.key)) return;
    const inside = event.target.closest?.("button, a, summary, label, input");
    if (inside && (name === "Enter" || event.key === " ")) return;  // with Ctrl it submits, wherever the focus is
    /* Shift on its own is the beginning of a capital letter, and ends nothing. */
    if (/^(Shift|Control|Alt|Meta|CapsLock)$/.test(event.key)) return;
    if (pending && performance.now() - since < 1500) {
      const row = acts.get(`${pending} ${event.key}`), name = `${pending} ${event.key}`;
      pending = "";
      if (row) run(row, event);
      else { event.preventDefault(); unknown(name); }
      return;
    }
    pending = "";
    if (firsts.has(event.key) && !event.ctrlKey && !event.metaKey) {
      pending = event.key;
      since = performance.now();
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    const row = acts.get(name);
    if (row) run(row, event);
  }, true);
  document.addEventListener("click", (event) => {
    const opener = event.target.closest('[data-opens="keys"]');
    if (opener) { event.preventDefault(); event.stopImmediatePropagation(); fill(); sheet.showModal(); }
  }, true);
}
