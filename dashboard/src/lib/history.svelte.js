/** A series of the past with what the live stream adds to it each second. */

import { query, read } from "./api.js";
import { live } from "./live.svelte.js";

const NAMES = ["rps", "errors", "p50", "p90", "p99"];

export function empty() {
  return { at: [], rps: [], errors: [], p50: [], p90: [], p99: [] };
}

/** What a tick says of something: `scope` is `{}` for all, or has site, route or server. */
export function figures(tick, scope) {
  const found = scope.server ? tick.servers?.[scope.server] : scope.route !== undefined ? tick.routes?.[scope.route] : tick.sites?.[scope.site];
  return scope.server || scope.route !== undefined || scope.site ? found : tick.total;
}

export class History {
  series = $state.raw(empty());
  step = $state(1);
  trouble = $state.raw(null);
  ready = $state(false);
  #scope;
  #seconds;

  constructor(scope, seconds) {
    this.#scope = scope;
    this.#seconds = seconds;
  }

  /** Begin; returns how to end. */
  follow() {
    let over = false;
    const load = () =>
      read(`/v1/history${query({ seconds: this.#seconds, ...this.#scope })}`)
        .then((answer) => {
          if (over) return;
          this.step = answer.step;
          this.series = answer.series;
          this.trouble = null;
        })
        .catch((problem) => (this.trouble = problem))
        .finally(() => (this.ready = true));
    load();
    const stop = live.onTick((tick) => this.#add(tick));
    const again = setInterval(load, 60_000);
    return () => {
      over = true;
      stop();
      clearInterval(again);
    };
  }

  #add(tick) {
    if (this.step !== 1 || !this.ready) return;
    const at = Math.round(new Date(tick.at).getTime() / 1000);
    if (at <= (this.series.at.at(-1) ?? 0)) return;
    const found = figures(tick, this.#scope) ?? {};
    const from = this.series.at.findIndex((one) => one > at - this.#seconds);
    const cut = from < 0 ? this.series.at.length : from;
    const next = { at: [...this.series.at.slice(cut), at] };
    for (const name of NAMES) {
      const rate = name === "rps" || name === "errors";
      next[name] = [...this.series[name].slice(cut), found[name] ?? (rate ? 0 : null)];
    }
    this.series = next;
  }
}
