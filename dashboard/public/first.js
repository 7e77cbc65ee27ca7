// Before the first paint: the colours and the language that were chosen here last. (A file, because no script stands in the page.)
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("gapura.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    root.lang = localStorage.getItem("gapura.language") ?? (/^(id|ms)\b/i.test(navigator.language) ? "id" : "en");
  } catch {
    // Storage may be forbidden; then the system's colours are shown.
  }
})();
