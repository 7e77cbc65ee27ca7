/** The texts of the page in the reader's language. A text with "one|many" is chosen by its value `n`. */

// Each dictionary is a file of its own: nobody loads a language that they do not read.
const dictionaries = { en: () => import("../words/en.json"), id: () => import("../words/id.json") };
export const languages = { en: "English", id: "Bahasa Indonesia" };

let language = $state("en");
let words = $state.raw({});

export const tongue = {
  get now() {
    return language;
  },
  set now(name) {
    speak(name);
    remember("gapura.language", name);
  },
};

/** Use a language; settled when its texts are there. */
export async function speak(name) {
  const known = dictionaries[name] ? name : "en";
  words = (await dictionaries[known]()).default;
  language = document.documentElement.lang = known;
}

/** The text called `key`, with `{name}` replaced by values. */
export function t(key, values) {
  let text = words[key] ?? key;
  if (!values) return text;
  const forms = text.split("|");
  text = forms.length > 1 && values.n !== 1 ? forms[1] : forms[0];
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The text for a word that the API uses, or the word itself where there is none. */
export function term(group, word) {
  return words[`${group}.${word}`] ?? word ?? "";
}

/** Keep a choice on this machine, where that is allowed. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // Storage may be forbidden: the choice holds until the page is left.
  }
}
