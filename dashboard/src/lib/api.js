/** Talking to the admin API: JSON in, JSON out, problems as one kind of error (RFC 9457). */

/** What the API said no to: `title`, `detail`, `hint`, `problems` as it wrote them, `status` 0 when it was not reached. */
export class Problem extends Error {
  constructor(status, document = {}) {
    super(document.detail || document.title || `HTTP ${status}`);
    this.status = status;
    this.title = document.title ?? "";
    this.detail = document.detail ?? "";
    this.hint = document.hint ?? "";
    this.problems = document.problems ?? [];
  }
}

let refused = () => {};

/** Names who is told when a request needs a session (401). */
export function whenRefused(listener) {
  refused = listener;
}

/**
 * One request. Returns `{ data, etag }`; raises Problem.
 * `send` is a body for JSON; `match` goes into If-Match.
 */
export async function call(method, path, { send, match, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (send !== undefined || method !== "GET") headers["Content-Type"] = "application/json";
  if (match) headers["If-Match"] = match;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      signal,
      credentials: "same-origin",
      cache: "no-store",
      body: send !== undefined ? JSON.stringify(send) : method === "GET" ? undefined : "{}",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "unreachable" });
  }
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = { title: text.slice(0, 200) };
  }
  if (answer.ok) return { data, etag: answer.headers.get("ETag") };
  if (answer.status === 401) refused();
  throw new Problem(answer.status, data ?? {});
}

export const read = async (path, options) => (await call("GET", path, options)).data;

/** Query part of a path from what is set in `values`. */
export function query(values) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) words.set(name, value);
  }
  const text = words.toString();
  return text ? `?${text}` : "";
}
