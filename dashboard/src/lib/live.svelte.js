/** What goes on now: the picture and its ticks from /v1/live, kept as long as a chart needs them. */

import { read } from "./api.js";

const NEWEST = 8; // requests and events that the first view shows

const KEPT = 900; // ticks: a quarter of an hour
const FALLEN_FOR = 2500; // ms for which the end of a server is shown at least
const HIDDEN_FOR = 10_000; // ms in the background after which a tab stops listening: a browser has six connections to a host
const STALE_AFTER = 3500; // ms without a tick
const LONGEST_PAUSE = 5000; // ms between two attempts to reconnect

class Live {
  picture = $state.raw(null);
  tick = $state.raw(null);
  events = $state.raw([]);
  requests = $state.raw([]);
  /** connecting, live or stale */
  state = $state("connecting");
  /** ms since the epoch at which the last tick came, by this machine's clock */
  heard = $state(0);
  ticks = [];
  #source = null;
  #pause = 500;
  #timer = 0;
  #guard = 0;
  #nap = 0;
  #opened = 0;
  #asleep = false;
  #listeners = new Set();
  #fallen = new Map();

  constructor() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#nap);
      if (document.hidden) this.#nap = setTimeout(() => this.#sleep(), HIDDEN_FOR);
      else if (this.#asleep) this.start();
    });
  }

  #sleep() {
    if (!this.#source) return;
    this.stop();
    this.#asleep = true;
  }

  start() {
    this.#asleep = false;
    if (this.#source || this.#timer) return;
    this.#open();
    this.#guard ||= setInterval(() => {
      if (this.state === "live" && Date.now() - this.heard > STALE_AFTER) this.state = "stale";
      // A connection that is open and says nothing is dead: some networks swallow the end of it.
      if (this.#source && Date.now() - Math.max(this.heard, this.#opened) > 4 * STALE_AFTER) this.#again();
    }, 500);
  }

  stop() {
    this.#asleep = false;
    clearTimeout(this.#timer);
    clearInterval(this.#guard);
    this.#timer = this.#guard = 0;
    this.#source?.close();
    this.#source = null;
  }

  /** Calls `listener(tick)` at each tick; returns how to end that. */
  onTick(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #open() {
    this.#timer = 0;
    const source = new EventSource("/v1/live");
    this.#source = source;
    this.#opened = Date.now();
    source.addEventListener("picture", (message) => {
      this.picture = JSON.parse(message.data);
    });
    source.addEventListener("tick", (message) => this.#took(JSON.parse(message.data)));
    source.addEventListener("event", (message) => {
      const event = JSON.parse(message.data);
      this.#happened([event]);
      this.#fall(event);
    });
    source.onerror = () => this.#again();
    // What was before: the stream tells only what comes.
    read(`/v1/requests?limit=${NEWEST}`).then((answer) => this.#meet(answer.requests), () => {});
    read("/v1/events").then((answer) => this.#happened(answer.events.toReversed()), () => {});
  }

  #meet(requests) {
    const known = new Set(this.requests.map((request) => request.id));
    const fresh = requests.filter((request) => !known.has(request.id));
    if (fresh.length) this.requests = [...fresh, ...this.requests].sort((a, b) => (a.at < b.at ? 1 : -1)).slice(0, NEWEST);
  }

  #happened(events) {
    const known = new Set(this.events.map((event) => event.id));
    this.events = [...events.filter((event) => !known.has(event.id)), ...this.events].sort((a, b) => b.id - a.id).slice(0, 1000);
  }

  /** A server that ended is shown so at once and for a while: it may be back before the next tick. */
  #fall(event) {
    if (event.type !== "app.crashed" && event.type !== "server.out") return;
    const key = event.subject.includes("/") ? event.subject : `${event.subject.replace(/:\d+$/, "")}/${event.subject}`;
    this.#fallen.set(key, Date.now() + FALLEN_FOR);
    if (this.tick) this.tick = this.#marked(this.tick);
  }

  #marked(tick) {
    const servers = { ...tick.servers };
    for (const [key, until] of this.#fallen) {
      if (until < Date.now()) this.#fallen.delete(key);
      else if (servers[key]?.condition === "up") servers[key] = { ...servers[key], condition: "fell" };
    }
    return { ...tick, servers };
  }

  #took(arrived) {
    const tick = this.#fallen.size ? this.#marked(arrived) : arrived;
    this.tick = tick;
    this.heard = Date.now();
    this.state = "live";
    this.#pause = 500;
    this.#meet(tick.requests);
    this.ticks.push(tick);
    if (this.ticks.length > KEPT) this.ticks.splice(0, this.ticks.length - KEPT);
    for (const listener of this.#listeners) listener(tick);
  }

  /** Nobody may look any more: the session has ended. */
  #ended() {
    this.stop();
    this.whenEnded();
  }

  whenEnded = () => {};

  /** Connect anew after a pause. The browser's own reconnecting gives up at the first answer that is not 200. */
  #again() {
    this.#source?.close();
    this.#source = null;
    if (this.heard) this.state = "stale";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      try {
        const me = await read("/v1/me");
        if (me.rights !== "none") this.#open();
        else this.#ended();
      } catch (problem) {
        this.#timer = 0;
        if (problem.status !== 401) this.#again();
      }
    }, this.#pause);
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 1.6);
  }
}

export const live = new Live();
