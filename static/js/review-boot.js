/* Shows the text first: what works on it is asked for when the browser has shown its first picture.

   Preloads in the head would be asked for before the first line is parsed, 20 ms of the time in
   which nothing is on screen yet; scripts asked for between the layout and the picture are parsed
   on the processor that draws it. */
(function () {
  "use strict";
  const here = document.currentScript.src;
  const PARTS = ["store", "text", "lay", "draw", "keys", "map", "work", "check", "side", "parts"];
  const add = (tag, set) => document.head.append(Object.assign(document.createElement(tag), set));
  const LATEST = 400;  // ms
  const at = (name) => new URL(name, here).href;

  function load() {
    for (const part of PARTS) add("link", { rel: "modulepreload", href: at(`review-${part}.js`) });
    add("script", { src: at("maths.js"), async: false });
    add("script", { type: "module", src: at("review.js"), async: false });
  }
  function whenShown(act) {
    if (document.visibilityState === "hidden") { act(); return; }
    let waits = true;
    const once = () => { if (waits) { waits = false; act(); } };
    new PerformanceObserver((list, me) => {
      if (list.getEntriesByName("first-contentful-paint").length) { me.disconnect(); once(); }
    }).observe({ type: "paint", buffered: true });
    setTimeout(once, LATEST);  // a window that is covered paints nothing, and still must work
  }
  whenShown(load);
})();
