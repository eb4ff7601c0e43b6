/* The outline: which part is being read, and how each part ends once that may be seen. */

import { painted } from "./review-lay.js";

const ENDS = { matches: ["✓", "ok", "ends in an answer that matches"], differs: ["✗", "bad", "ends in an answer that does not match"], stated: ["·", "dim", "ends in an answer"] };

export function makeParts(element, text, seen) {
  const links = [...element.querySelectorAll("a")], boxes = links.map((a) => +a.dataset.box);
  let current = -1, opened = element.querySelector("details[open]"), timer = 0;

  function partOf(box) {
    let low = 0, high = boxes.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (boxes[middle] <= box) low = middle; else high = middle - 1;
    }
    return low;
  }
  function show(part) {
    if (part === current || !links[part]) return;
    links[current]?.classList.remove("on");
    links[current]?.removeAttribute("aria-current");
    current = part;
    const link = links[part], group = link.closest("details");
    link.classList.add("on");
    link.setAttribute("aria-current", "true");
    if (group !== opened) {  // the one that was opened for the reader is closed again, no other
      if (opened) opened.open = false;
      if (group) { group.open = true; opened = group; }
    }
    link.scrollIntoView({ block: "nearest" });
  }
  /* Behind the paint that a key waits for. */
  let wanted = -1;
  function at(box) {
    const waits = wanted >= 0;
    wanted = partOf(box);
    if (!waits) painted().then(() => { show(wanted); wanted = -1; });
  }
  /* Scrolled without a key: the part that is on screen. */
  text.view.addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const on = seen();
      if (on.length) at(on.includes(text.here()) ? text.here() : on[0]);
    }, 150);
  }, { passive: true });
  text.onMove(at);

  /* How each part ends; the server has put it there unless it was hidden. */
  function ends(answers) {
    const last = new Map();
    for (const a of [...answers].sort((x, y) => x.start - y.start)) last.set(partOf(text.boxAt(a.start)), a.matches);
    for (const [part, matches] of last) {
      if (links[part].querySelector("b")) continue;  // it was not hidden
      const [sign, css, words] = ENDS[matches === true ? "matches" : matches === false ? "differs" : "stated"];
      const mark = document.createElement("b"), said = document.createElement("span");
      mark.className = css;
      said.className = "visually-hidden";
      said.textContent = words;
      mark.append(sign, said);
      links[part].children[0].after(mark);
    }
  }
  return { ends };
}
