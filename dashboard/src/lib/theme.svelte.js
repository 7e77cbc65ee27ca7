/** Light, dark, or what the system has. */

import { remember } from "./words.svelte.js";

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const state = $state({ choice: root.dataset.theme ?? "system", systemIsDark: dark.matches });
dark.addEventListener("change", () => (state.systemIsDark = dark.matches));

export const theme = {
  get choice() {
    return state.choice;
  },
  get isDark() {
    return state.choice === "system" ? state.systemIsDark : state.choice === "dark";
  },
  set choice(name) {
    state.choice = name;
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    remember("gapura.theme", name === "system" ? null : name);
  },
};
