/** Who the reader is and what they may do. */

import { call, read, whenRefused } from "./api.js";
import { live } from "./live.svelte.js";

class Session {
  me = $state.raw(null);
  /** asking, in, out or unreachable */
  state = $state("asking");

  constructor() {
    const out = () => {
      this.state = "out";
      live.stop();
    };
    whenRefused(out);
    live.whenEnded = out;
  }

  get mayChange() {
    return this.me?.rights === "full";
  }

  async begin() {
    try {
      this.me = await read("/v1/me"); // anybody may ask that
      this.state = this.me.rights === "none" ? "out" : "in";
      if (this.state === "in") live.start();
    } catch (problem) {
      if (problem.status === 401) return;
      this.state = problem.status === 403 ? "out" : "unreachable";
      if (this.state === "unreachable") setTimeout(() => this.begin(), 1500);
    }
  }

  async enter(token) {
    await call("POST", "/v1/session", { send: { token } });
    await this.begin();
  }

  async leave() {
    await call("DELETE", "/v1/session").catch(() => {});
    live.stop();
    this.me = null;
    this.state = "out";
  }
}

export const session = new Session();
