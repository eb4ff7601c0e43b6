/* Loaded before the first paint: puts the remembered theme on the root element. */
(function () {
  "use strict";
  const KEY = "whittle-theme";
  const read = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  const NEXT = { system: "light", light: "dark", dark: "system" };
  window.whittleTheme = {
    now: () => read() || "system",
    next() {
      const theme = NEXT[this.now()] || "system";
      try { localStorage.setItem(KEY, theme); } catch { /* private mode: for this page only */ }
      apply(theme);
      return theme;
    },
  };
  apply(read());
})();
