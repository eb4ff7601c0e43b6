/* Renders $…$, $$…$$, \(…\) and \[…\] in elements marked data-maths, near the viewport only.

   The text of the page stays the text of the trace: each formula sits in a span whose data-source
   holds its exact source, delimiters included; copying gives that source back. KaTeX draws into
   the DOM (no HTML strings), with trust off and bounds on macros, sizes and lengths. */
(function () {
  "use strict";

  const MAX_FORMULA = 20000;      // characters; a longer one stays as its source
  const MAX_INLINE = 4000;
  const MAX_FAILURES = 1000;      // delimiters that open nothing, before a text is left alone
  const MAX_PER_ELEMENT = 5000;   // formulas; the rest stay as their source
  const MARGIN = "600px";
  const SLICE = 8;                // ms of drawing between two frames
  const FEW = 60;                 // formulas of an element that are drawn together
  const OPTIONS = { trust: false, maxExpand: 500, maxSize: 20, strict: "ignore", output: "html" };
  const PAIRS = [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]];

  /* End of the formula that opens at `from` (after its delimiter), or -1. Braces are not counted:
     broken input must not swallow the rest of a trace, so a blank line always ends the search. */
  function closing(text, from, close, inline) {
    const last = Math.min(text.length, from + (inline ? MAX_INLINE : MAX_FORMULA));
    for (let i = from; i < last; i++) {
      if (text.startsWith(close, i)) {
        if (close !== "$") return i;
        if (i > from && !/\s/.test(text[i - 1]) && !/[0-9$]/.test(text[i + 1] || "")) return i;
      }
      if (text[i] === "\\") i++;
      else if (inline && text[i] === "\n" && text[i + 1] === "\n") return -1;
    }
    return -1;
  }

  function opensAt(text, i) {
    for (const [open, close, display] of PAIRS) {
      if (!text.startsWith(open, i)) continue;
      const from = i + open.length;
      if (open === "$" && /\s/.test(text[from] || " ")) return null;
      const end = closing(text, from, close, !display);
      if (end > from) return { start: i, from, to: end, end: end + close.length, display };
      return open === "$$" ? { skip: i + 2 } : null;
    }
    return null;
  }

  /* Pure: the formulas of a text, in order, as {start, from, to, end, display}. */
  function formulas(text, limit = MAX_PER_ELEMENT) {
    const found = [];
    let failures = 0;
    for (let i = 0; i < text.length && found.length < limit && failures < MAX_FAILURES; i++) {
      if (text[i] === "\\" && !/[([]/.test(text[i + 1] || "")) { i++; continue; }
      if (text[i] !== "$" && text[i] !== "\\") continue;
      const hit = opensAt(text, i);
      if (!hit) { failures++; if (text[i] === "\\") i++; continue; }
      if (hit.skip) { failures++; i = hit.skip - 1; continue; }
      found.push(hit);
      i = hit.end - 1;
    }
    return found;
  }

  function render(span) {
    const source = span.dataset.source;
    const edge = source.startsWith("$") && !source.startsWith("$$") ? 1 : 2;
    const display = span.classList.contains("maths-display");
    const box = document.createElement("span");
    try {
      katex.render(source.slice(edge, -edge), box, { ...OPTIONS, displayMode: display, throwOnError: true });
      span.replaceChildren(box);
      span.setAttribute("role", "math");
      span.setAttribute("aria-label", source.slice(edge, -edge));
    } catch (error) {
      span.classList.add("maths-error");
      box.className = "maths-why";
      box.textContent = String(error && error.message || error).slice(0, 300);
      span.replaceChildren(document.createTextNode(source), box);
    }
  }

  function splitNode(node, budget) {
    const text = node.data;
    const hits = formulas(text, budget);
    if (!hits.length) return 0;
    const parts = document.createDocumentFragment();
    let at = 0;
    for (const hit of hits) {
      if (hit.start > at) parts.append(text.slice(at, hit.start));
      const span = document.createElement("span");
      span.className = hit.display ? "maths maths-display" : "maths maths-inline";
      span.dataset.source = text.slice(hit.start, hit.end);
      span.textContent = span.dataset.source;
      parts.append(span);
      at = hit.end;
    }
    if (at < text.length) parts.append(text.slice(at));
    node.replaceWith(parts);
    return hits.length;
  }

  /* KaTeX is large: a page may name it in a meta element, to be loaded with the first formula. */
  const source = document.querySelector('meta[name="katex"]')?.content;
  let asked = false;
  function haveKatex(then) {
    if (typeof katex !== "undefined") return true;
    if (source && !asked) {
      asked = true;
      const look = document.createElement("link");
      look.rel = "stylesheet";
      look.href = source.replace(/\.js$/, ".css");
      document.head.append(look);
      const script = document.createElement("script");
      script.src = source;
      script.addEventListener("load", then);
      document.head.append(script);
    }
    return false;
  }

  /* Drawing, in slices: a frame is never late for a screen full of formulas. */
  const waiting = new Set();
  let drawing = false;
  function draw() {
    const until = performance.now() + SLICE;
    for (const span of waiting) {
      waiting.delete(span);
      if (span.isConnected) render(span);
      if (performance.now() > until) break;
    }
    drawing = waiting.size > 0;
    if (drawing) requestAnimationFrame(() => setTimeout(draw, 0));
  }
  function want(span) {
    waiting.add(span);
    if (drawing || !haveKatex(() => { drawing = true; draw(); })) return;
    drawing = true;
    setTimeout(draw, 0);
  }

  const watching = (act) => new IntersectionObserver((entries, self) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      self.unobserve(entry.target);
      act(entry.target);
    }
  }, { rootMargin: MARGIN });

  /* Finds the formulas of an element's text and puts each into a span; how many. */
  function split(element) {
    if (element.dataset.split !== undefined) return +element.dataset.split;
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) {
      if (!walker.currentNode.parentElement.closest(".maths, pre, code")) nodes.push(walker.currentNode);
    }
    let budget = MAX_PER_ELEMENT;
    for (const node of nodes) if (budget > 0) budget -= splitNode(node, budget);
    element.dataset.split = MAX_PER_ELEMENT - budget;
    if (budget < MAX_PER_ELEMENT) element.dispatchEvent(new CustomEvent("maths:split", { bubbles: true }));
    return MAX_PER_ELEMENT - budget;
  }

  const spans = watching(want);
  const blocks = watching((element) => {
    const found = split(element), each = element.querySelectorAll(".maths");
    for (const span of each) if (found > FEW) spans.observe(span); else want(span);
  });
  /* Split now, draw when it comes near the screen. */
  function watch(element) {
    if ((source || typeof katex !== "undefined") && split(element)) blocks.observe(element);
  }

  function scan(root) {
    if (!source && typeof katex === "undefined") return;
    if (root.matches?.("[data-maths]")) blocks.observe(root);
    for (const element of root.querySelectorAll("[data-maths]")) {
      if (!element.closest("[data-lays]")) blocks.observe(element);  // those, review-lay.js looks after
    }
  }

  /* The stored text of a node: formulas give their source. */
  function sourceOf(node) {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType === Node.ELEMENT_NODE && node.dataset.source !== undefined) return node.dataset.source;
    return [...node.childNodes].map(sourceOf).join("");
  }

  /* Copying over rendered formulas gives the text of the trace, each touched formula whole. */
  document.addEventListener("copy", (event) => {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed || !event.clipboardData) return;
    const range = selection.getRangeAt(0).cloneRange();
    const owner = (node) => (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement);
    const first = owner(range.startContainer)?.closest(".maths");
    const last = owner(range.endContainer)?.closest(".maths");
    if (first) range.setStartBefore(first);
    if (last) range.setEndAfter(last);
    const piece = range.cloneContents();
    if (!piece.querySelector(".maths, .edge, .model-text")) return;
    const leaves = [...piece.querySelectorAll(".model-text")];
    event.clipboardData.setData("text/plain", (leaves.length ? leaves : [piece]).map(sourceOf).join(""));
    event.preventDefault();
  });

  window.whittleMaths = { formulas, scan, sourceOf, watch };
  const start = () => scan(document.body);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  document.addEventListener("htmx:afterSwap", (event) => scan(event.target));
})();
