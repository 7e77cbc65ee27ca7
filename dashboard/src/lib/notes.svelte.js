/** Short messages about what was just done, at the foot of the page. */

import { call, Problem } from "./api.js";
import { t } from "./words.svelte.js";

let number = 0;
export const notes = $state([]);

export function say(text, kind = "good", hint = "") {
  const note = { number: ++number, text, kind, hint };
  notes.push(note);
  setTimeout(() => dismiss(note.number), kind === "bad" ? 12_000 : 4500);
}

export function dismiss(which) {
  const index = notes.findIndex((note) => note.number === which);
  if (index >= 0) notes.splice(index, 1);
}

/** Why something failed, in words for people. */
export function reason(problem) {
  if (problem instanceof Problem && problem.status === 0) return t("error.unreachable");
  if (problem instanceof Problem && problem.status === 403) return problem.detail || t("error.forbidden");
  return problem.detail || problem.title || problem.message;
}

/** Send a change and say how it went. Returns what was answered, or null. */
export async function change(method, path, done, options) {
  try {
    const { data } = await call(method, path, options);
    say(done);
    return data ?? {};
  } catch (problem) {
    say(reason(problem), "bad", problem.hint);
    return null;
  }
}
