/** Where the reader is: a view, what is selected in it (the panel), and words after "?"; all of it in the address after "#". */

const now = $state({ view: "live", panel: "", words: {} });

export const views = ["live", "traffic", "requests", "apps", "certificates", "config", "events"];

function parse() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const words = Object.fromEntries(new URLSearchParams(search));
  now.panel = words.panel ?? "";
  delete words.panel;
  now.words = words;
  now.view = views.includes(path) ? path : "live";
}

/** The address of a view. */
export function href(view, words = {}, panel = "") {
  const search = new URLSearchParams(words);
  if (panel) search.set("panel", panel);
  const text = search.toString();
  return `#/${view}${text ? `?${text}` : ""}`;
}

let opener = null;

/** Show a panel beside the view: "server/…", "site/…", "upstream/…", "request/…", "gate". */
export function open(panel) {
  opener = document.activeElement;
  location.hash = href(now.view, now.words, panel);
}

/** Close the panel; the focus returns to what opened it. */
export function close() {
  const back = opener;
  opener = null;
  history.replaceState(null, "", href(now.view, now.words));
  parse();
  if (back?.isConnected) back.focus();
  else document.querySelector("main")?.focus();
}

/** Change words of this view's address without a step in the history. */
export function refine(words) {
  const all = { ...now.words, ...words };
  for (const [name, value] of Object.entries(all)) if (value === "" || value === undefined || value === null) delete all[name];
  history.replaceState(null, "", href(now.view, all, now.panel));
  parse();
}

addEventListener("hashchange", parse);
parse();

export const place = now;
