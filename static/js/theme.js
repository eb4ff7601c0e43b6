/* The chosen theme, in a cookie: the server puts it on the root element, so that no page has to
   wait for a script before its first paint. */
(function () {
  const KEY = "whittle_theme", OLD = "whittle-theme";
  const cookie = () => document.cookie.match(/(?:^|; )whittle_theme=(light|dark)/)?.[1];
  const root = document.documentElement;
  const keep = (theme) => {
    const age = theme === "system" ? 0 : 31536000;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${KEY}=${theme}; path=/; max-age=${age}; samesite=lax${secure}`;
  };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const NEXT = { system: "light", light: "dark", dark: "system" };
  window.whittleTheme = {
    now: () => root.dataset.theme || "system",
    next() {
      const theme = NEXT[this.now()] || "system";
      keep(theme);
      apply(theme);
      return theme;
    },
  };
  /* A choice of an earlier release, and pages that are made without a request (errors). */
  if (!root.dataset.theme) apply(cookie());
  addEventListener("load", () => {
    try {
      const old = localStorage.getItem(OLD);
      if (!old) return;
      localStorage.removeItem(OLD);
      if (!cookie()) { keep(old); apply(old); }
    } catch { /* storage is forbidden: there is nothing to take over */ }
  });
})();
