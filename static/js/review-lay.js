/* Paint first, then lay out: both the first paint and the keys are quick.

   At first only the chunks near the screen are laid out (content-visibility). Then the rest is laid
   out too, the nearest chunk first, in slices that end before a frame is missed. From then on a
   key finds a page that is wholly laid out: it changes two boxes and scrolls, and no more. */

const SLICE = 12;  // ms of one slice; a slice that takes longer is one chunk

/* Resolves when the browser has shown what it has. */
export const painted = () => new Promise((done) => {
  if (document.visibilityState === "hidden") { setTimeout(done, 0); return; }
  requestAnimationFrame(() => setTimeout(done, 0));
});

const idle = window.requestIdleCallback
  ? (act) => requestIdleCallback(act, { timeout: 400 })
  : (act) => setTimeout(() => act({ timeRemaining: () => SLICE }), 30);

export function makeLay(text) {
  const chunks = [...text.holder.children].map((element) => ({
    element, first: text.number(element.firstElementChild), laid: false,
  }));
  let rest = chunks.length;

  /* The first chunk whose end is below `y`; chunks stand in order, so it can be searched for. */
  function chunkAt(y) {
    let low = 0, high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chunks[middle].element.getBoundingClientRect().bottom > y) high = middle; else low = middle + 1;
    }
    return low;
  }

  /* Boxes of which much is on screen: 40 % of the box, or 40 % of the screen. */
  function seen() {
    const view = text.view.getBoundingClientRect();
    if (!chunks.length || !view.height) return [];
    const found = [];
    for (let i = chunks[chunkAt(view.top)].first; i < text.boxes.length; i++) {
      const box = text.boxes[i].getBoundingClientRect();
      if (box.height && box.top >= view.bottom) break;
      const height = Math.min(box.bottom, view.bottom) - Math.max(box.top, view.top);
      if (height > 0 && (height >= 0.4 * box.height || height > 0.4 * view.height)) found.push(i);
    }
    return found;
  }

  /* The chunk without layout that is nearest to the screen. */
  function nearest() {
    const at = chunkAt(text.view.getBoundingClientRect().top);
    for (let far = 0; far < chunks.length; far++) {
      for (const i of [at + far, at - far]) if (chunks[i] && !chunks[i].laid) return chunks[i];
    }
    return null;
  }
  function layOne() {
    const chunk = nearest();
    if (chunk.element.querySelector("[data-maths]")) window.whittleMaths.watch(chunk.element);
    chunk.element.classList.add("laid");
    chunk.laid = true;
    rest -= 1;
    return chunk.element.offsetHeight;  // the layout happens here, and is part of the slice
  }

  /* Lays out everything; `done` when nothing is left. */
  function all(done) {
    const slice = (deadline) => {
      const began = performance.now();
      let longest = 0;
      while (rest) {
        const before = performance.now();
        layOne();
        const now = performance.now();
        longest = Math.max(longest, now - before);
        if (now - began + longest > Math.min(SLICE, deadline.timeRemaining())) break;
      }
      if (rest) idle(slice); else done();
    };
    idle(slice);
  }
  return { all, seen, isLaid: () => rest === 0 };
}
