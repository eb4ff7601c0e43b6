/* What every page has: theme button, keyboard sheet, menus, and messages when a request fails. */
(function () {
  "use strict";

  const byId = (id) => document.getElementById(id);

  function themeButton() {
    const button = byId("theme");
    if (!button) return;
    const label = () => {
      button.textContent = { light: "☀", dark: "☾", system: "◐" }[whittleTheme.now()];
      button.title = `Theme: ${whittleTheme.now()}`;
      button.setAttribute("aria-label", button.title);
    };
    button.hidden = false;
    button.addEventListener("click", () => { whittleTheme.next(); label(); });
    label();
  }

  const typing = (target) => target instanceof HTMLElement
    && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

  function keys(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const sheet = byId("keys");
    if (typing(event.target) || (document.querySelector("dialog[open]") && event.key !== "?")) return;
    if (event.key === "?" && sheet) {
      event.preventDefault();
      if (sheet.open) sheet.close(); else sheet.showModal();
      return;
    }
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
      return;
    }
    const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    else if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
  }

  function moveRow(step) {
    const rows = [...document.querySelectorAll("table.list tbody tr")].filter((r) => r.querySelector("a"));
    if (!rows.length) return;
    const now = rows.findIndex((r) => r.classList.contains("on"));
    const next = Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + step));
    rows.forEach((r, i) => r.classList.toggle("on", i === next));
    rows[next].querySelector("a").focus();
  }

  function say(text) {
    const box = byId("toast");
    if (!box) return;
    const note = document.createElement("p");
    note.className = "note error";
    note.textContent = text;
    box.replaceChildren(note);
  }

  /* Unsent work that the review screen keeps in this browser belongs to one account. It stays when a
     session ends by itself, for who signs in again; signing out, or another account, removes it. */
  const LEAVING = "whittle-signing-out", DRAFT = "whittle-draft-";
  const account = document.body.dataset.account || "";
  function forgetDrafts(kept) {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(DRAFT) && !(kept && key.startsWith(kept))) localStorage.removeItem(key);
    }
  }
  function tidyDrafts() {
    try {
      const left = sessionStorage.getItem(LEAVING);
      sessionStorage.removeItem(LEAVING);
      if (account) forgetDrafts(`${DRAFT}${account}-`);
      else if (left) {
        forgetDrafts("");
        localStorage.setItem(LEAVING, String(Date.now()));  // tells the other tabs
        localStorage.removeItem(LEAVING);
      }
    } catch { /* storage is forbidden: nothing is kept there */ }
  }
  addEventListener("storage", (event) => {
    const out = document.querySelector("form[data-signs-out]");
    // Without a key all was emptied: over HTTPS the answer to signing out asks for that.
    if (!out || (event.key !== null && (event.key !== LEAVING || !event.newValue))) return;
    document.dispatchEvent(new Event("whittle:signed-out"));
    location.replace(out.dataset.signsOut);
  });

  document.addEventListener("keydown", keys);
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) byId(opener.dataset.opens)?.showModal();
    const closer = event.target.closest("[data-closes]");
    if (closer) closer.closest("dialog")?.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-signs-out]")) {
      try { sessionStorage.setItem(LEAVING, "1"); } catch { /* as above */ }
    }
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-autosubmit]");
    if (form && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
  });
  document.addEventListener("htmx:responseError", (event) => {
    say(`The server answered ${event.detail.xhr.status}.`);
  });
  document.addEventListener("htmx:sendError", () => {
    const chip = byId("health");
    if (chip) { chip.className = "chip bad health"; chip.textContent = "server unreachable"; }
  });
  tidyDrafts();
  themeButton();
})();
