/* Step scores of process reward models: a figure beside each box, chips where they fall. */

const WORDS = { past_limit: "behind the model's limit", not_scored: "not scored" };
const figure = (score) => (score === null ? "–" : score.toFixed(2).replace(/^0/, ""));
const BATCH = 60;  // boxes that get their figure in one idle slice
const idle = window.requestIdleCallback || ((act) => setTimeout(act, 30));

/* Boxes -> what a model says of them: the lowest score of the steps in a box, and its state.
   `boxAt`, `starts` and `end` are those of a reader; steps are in order and apart. */
export function byBox(steps, boxAt, starts, end) {
  const found = new Map();
  const rank = { drop: 3, low: 2, fine: 1, unchecked: 0 };
  for (const step of steps) {
    for (let i = boxAt(step.start); i < starts.length && starts[i] < step.end; i++) {
      if (end(i) <= step.start) continue;
      const old = found.get(i);
      const worse = !old || rank[step.state] > rank[old.state] || (rank[step.state] === rank[old.state] && step.score !== null && step.score < old.score);
      /* A fall is told where the step starts, not in every box that it reaches. */
      if (worse) found.set(i, step.state === "drop" && i !== boxAt(step.start) ? { ...step, state: "low" } : step);
    }
  }
  return found;
}
export function said(model, step) {
  const name = model.verifier.slice(4);
  if (step.score === null) return `${name}: cannot be checked, ${WORDS[step.reason] || step.reason.replaceAll("_", " ")}`;
  return `${name}: ${step.score.toFixed(2)}${step.fell >= 0.01 ? `, ${step.fell.toFixed(2)} lower than the step before` : ""}`;
}
/* The figures of the newest model, a slice at a time; of the others the words are in the title. */
export function mark(boxes, maps, models, done = () => {}) {
  const [first] = maps, list = [...first].sort((a, b) => a[0] - b[0]);
  let at = 0;
  const slice = () => {
    for (const [i, step] of list.slice(at, at + BATCH)) {
      boxes[i].querySelector(":scope > .prm")?.remove();
      const note = document.createElement("span");
      note.className = `prm ${step.state}`;
      note.textContent = figure(step.score);
      note.title = maps.map((m, k) => (m.has(i) ? said(models[k], m.get(i)) : "")).filter(Boolean).join("\n");
      boxes[i].append(note);
      if (step.state === "drop") {
        const chip = document.createElement("span");
        chip.className = "chip evidence prm-drop bad";
        chip.textContent = `step score ${step.score.toFixed(2)}${step.fell >= 0.01 ? `, ${step.fell.toFixed(2)} lower than before` : ""}`;
        chip.title = note.title;
        boxes[i].append(chip);
      }
    }
    at += BATCH;
    if (at < list.length) idle(slice); else done();
  };
  slice();
}
export function clear(boxes) {
  for (const box of boxes) for (const old of box.querySelectorAll(":scope > .prm, :scope > .prm-drop")) old.remove();
}

/* On the review screen: figures, the minimap's low places, and where the score falls next. */
export async function makeScores(root, text, data, changed) {
  const answer = await fetch(`${root.dataset.base}checks/steps/`, { redirect: "manual" });
  const { models } = await answer.json();
  const maps = (models || []).map((m) => byBox(m.steps, text.boxAt, text.starts, text.end));
  if (!maps.length) return null;
  data.low = models[0].steps.filter((s) => s.state === "drop" || s.state === "low");
  mark(text.boxes, maps, models, changed);
  const drops = models[0].steps.filter((s) => s.state === "drop").map((s) => s.start);
  return {
    drops,
    said: (i) => (maps[0].has(i) ? `step score ${figure(maps[0].get(i).score)}` : ""),
    model: models[0].verifier,
  };
}
