/* The preview of what is asked answers to clicks as the review screen does; nothing is stored. */
(function () {
  "use strict";
  document.getElementById("asked-preview")?.addEventListener("click", (event) => {
    const button = event.target.closest("[data-value]");
    const field = button?.closest("[data-label]");
    if (!field) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const each of field.querySelectorAll("[data-value]")) {
      if (each === button) each.setAttribute("aria-pressed", String(on));
      else if (field.dataset.type !== "multi") each.setAttribute("aria-pressed", "false");
    }
  });
})();
