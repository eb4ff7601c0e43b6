/* Shows the text first: what works on it is asked for when the browser has painted.

   Preloads in the head would be asked for before the first line is parsed, 20 ms of the time in
   which nothing is on screen yet. */
(function () {
  "use strict";
  const here = document.currentScript.src;
  const PARTS = ["store", "text", "lay", "draw", "keys", "map", "work", "check", "side"];
  const add = (tag, set) => document.head.append(Object.assign(document.createElement(tag), set));
  const at = (name) => new URL(name, here).href;

  function load() {
    for (const part of PARTS) add("link", { rel: "modulepreload", href: at(`review-${part}.js`) });
    add("script", { src: at("maths.js"), async: false });
    add("script", { type: "module", src: at("review.js"), async: false });
  }
  if (document.visibilityState === "hidden") load();
  else requestAnimationFrame(() => setTimeout(load, 0));
})();
