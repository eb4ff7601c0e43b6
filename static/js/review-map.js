/* The minimap: one mark per segment, and answers, cuts, labels, disagreements over them. */

import { painted } from "./review-lay.js";

export function makeMap(element, text, lay, data) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  element.append(canvas);
  const base = document.createElement("canvas");
  let colours = null, last = null, queued = false;

  function palette() {
    const probe = document.createElement("i");
    element.append(probe);
    const read = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
    const found = {};
    for (const name of ["exec", "plan", "check", "back", "final", "restate", "other", "bad", "ok", "warn", "accent", "ink"]) found[name] = read(name);
    probe.remove();
    return found;
  }
  const scale = () => canvas.height / Math.max(1, data.chars);

  function drawBase() {
    base.width = canvas.width;
    base.height = canvas.height;
    const pen = base.getContext("2d");
    const s = data.structure;
    for (let i = 0; i < text.starts.length; i++) {
      const y = text.starts[i] * scale(), height = (text.end(i) - text.starts[i]) * scale();
      pen.fillStyle = colours[s.hues[s.kinds[i]]] || colours.other;
      pen.globalAlpha = s.repeats[i] === undefined ? 1 : 0.4;
      pen.fillRect(canvas.width * 0.22, y, canvas.width * 0.5, Math.max(1, height - 0.5));
    }
  }
  function bars(pen, ranges, colour, x, width) {
    pen.fillStyle = colour;
    for (const r of ranges) {
      pen.fillRect(x * canvas.width, r.start * scale(), width * canvas.width, Math.max(2, (r.end - r.start) * scale()));
    }
  }
  /* One line for all places of a line of pixels: what is looked for may stand anywhere. */
  function ticks(pen, ranges) {
    const high = Math.max(2, window.devicePixelRatio || 1);
    let last = -high;
    for (const r of ranges) {
      const y = Math.round(r.start * scale());
      if (y - last < high) continue;
      pen.fillRect(canvas.width * 0.36, y, canvas.width * 0.22, high);
      last = y;
    }
  }
  function paint() {
    queued = false;
    if (!canvas.width) return;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(base, 0, 0);
    if (last) {
      bars(pen, last.cuts, colours.bad, 0, 0.18);
      bars(pen, data.proposals.filter((p) => !last.rejected.includes(p.id)), colours.warn, 0.18, 0.06);
      bars(pen, last.labels.filter((l) => l.label === -1), colours.bad, 0.74, 0.26);
      bars(pen, last.spans, colours.accent, 0.74, 0.13);
    }
    pen.fillStyle = colours.ink;
    ticks(pen, data.found || []);
    bars(pen, data.low || [], colours.bad, 0.58, 0.14);
    for (const a of data.answers) {
      pen.fillStyle = a.matches === true ? colours.ok : a.matches === false ? colours.bad : colours.warn;
      pen.beginPath();
      pen.arc(canvas.width * 0.86, a.start * scale(), Math.max(2, canvas.width * 0.09), 0, 7);
      pen.fill();
    }
    bars(pen, (data.disagreement?.ranges || []).map(([start, end]) => ({ start, end })), colours.ink, 0.94, 0.06);
    if (text.here() >= 0) {
      pen.globalAlpha = 0.45;
      bars(pen, [text.range(text.here())], colours.accent, 0, 1);
      pen.globalAlpha = 1;
    }
    const seen = lay.seen();
    if (seen.length) {
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 1;
      const y = text.starts[seen[0]] * scale(), low = text.end(seen[seen.length - 1]) * scale();
      pen.strokeRect(0.5, y + 0.5, canvas.width - 1, Math.max(3, low - y - 1));
    }
  }
  /* Behind the paint that a key waits for, when the layout it reads is at hand. */
  const later = () => { if (!queued) { queued = true; painted().then(paint); } };
  function size() {
    const box = element.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    colours = palette();
    drawBase();
    later();
  }
  function at(event) {
    const box = element.getBoundingClientRect();
    return Math.max(0, Math.min(data.chars - 1, (event.clientY - box.top) / box.height * data.chars));
  }
  let dragging = false;
  element.addEventListener("pointerdown", (event) => { dragging = true; element.setPointerCapture(event.pointerId); text.go(text.boxAt(at(event)), "center"); });
  element.addEventListener("pointermove", (event) => { if (dragging) text.go(text.boxAt(at(event)), "center"); });
  element.addEventListener("pointerup", () => { dragging = false; });
  element.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    text.go(Math.max(0, Math.min(text.boxes.length - 1, text.here() + step)), "center");
  });
  addEventListener("resize", size);
  new MutationObserver(size).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  text.view.addEventListener("scroll", later, { passive: true });
  text.onMove((i) => {
    element.setAttribute("aria-valuenow", i + 1);
    element.setAttribute("aria-valuetext", `segment ${i + 1} of ${text.boxes.length}`);
    later();
  });
  return { size, draw: (state) => { last = state; later(); }, later };
}
