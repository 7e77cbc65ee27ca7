/**
 * Requests as dots: each runs to its server, stays as long as that took, and comes back in the colour of its status.
 *
 * Dots are SVG circles, reused; nothing runs while there are none.
 */

import { along } from "./layout.js";
import { trail } from "./graph.js";

const MOST = 60;
const SVG = "http://www.w3.org/2000/svg";
const SPEED = 0.62; // px a millisecond
const STAY = [60, 1500]; // ms at the server, at least and at most

export class Dots {
  #layer;
  #moving = [];
  #idle = [];
  #frame = 0;

  constructor(layer) {
    this.#layer = layer;
  }

  /** Start the requests of a tick, spread over the next second as they were over the last. */
  show(tick, graph, layout) {
    if (document.hidden) return;
    const end = new Date(tick.at).getTime();
    const now = performance.now();
    for (const request of tick.requests ?? []) {
      if (this.#moving.length >= MOST) break;
      const before = Math.min(1500, Math.max(0, end - new Date(request.at).getTime()));
      const way = trail(graph, request)
        .map((key) => layout.edges.get(key))
        .filter(Boolean);
      if (way.length) this.#begin(request, way, now + Math.max(0, 1000 - before));
    }
    this.#frame ||= requestAnimationFrame((time) => this.#step(time));
  }

  clear() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const dot of this.#moving) dot.circle.remove();
    this.#moving = [];
  }

  #begin(request, way, at) {
    const lengths = way.map(([a, , , d]) => Math.hypot(d[0] - a[0], d[1] - a[1]));
    const circle = this.#idle.pop() ?? document.createElementNS(SVG, "circle");
    circle.setAttribute("r", request.tries > 1 ? 5.5 : 4.5);
    circle.setAttribute("class", "dot");
    circle.setAttribute("visibility", "hidden");
    this.#layer.append(circle);
    const length = lengths.reduce((sum, part) => sum + part, 0);
    const stay = Math.min(STAY[1], Math.max(STAY[0], request.ms ?? 0));
    const back = request.status >= 500 || !request.status ? "bad" : request.status >= 400 ? "odd" : "good";
    this.#moving.push({ circle, way, lengths, length, at, stay, back: `dot ${back}`, travel: length / SPEED, turned: false });
  }

  #step(now) {
    this.#moving = this.#moving.filter((dot) => {
      const age = now - dot.at;
      if (age < 0) return true;
      const whole = dot.travel * 2 + dot.stay;
      if (age >= whole) {
        dot.circle.remove();
        this.#idle.push(dot.circle);
        return false;
      }
      const part = age < dot.travel ? age / dot.travel : age < dot.travel + dot.stay ? 1 : (whole - age) / dot.travel;
      if (!dot.turned && age >= dot.travel + dot.stay) {
        dot.turned = true;
        dot.circle.setAttribute("class", dot.back);
      }
      const [x, y] = this.#point(dot, part);
      dot.circle.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      dot.circle.setAttribute("visibility", "visible");
      return true;
    });
    this.#frame = this.#moving.length ? requestAnimationFrame((time) => this.#step(time)) : 0;
  }

  #point(dot, part) {
    let left = part * dot.length;
    for (let index = 0; index < dot.way.length; index += 1) {
      if (left <= dot.lengths[index] || index === dot.way.length - 1) {
        return along(dot.way[index], dot.lengths[index] ? Math.min(1, left / dot.lengths[index]) : 1);
      }
      left -= dot.lengths[index];
    }
    return dot.way[0][0];
  }
}
