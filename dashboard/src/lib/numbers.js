/** How figures are written: short, always as wide as they need to be, never with more than three digits that matter. */

/** 0.42, 12, 1,240, 12.4k, 3.1M */
export function count(value) {
  const n = Number(value) || 0;
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  if (n < 9.95) return trim(n.toFixed(1));
  if (n < 9999.5) return Math.round(n).toLocaleString("en");
  if (n < 999950) return `${trim((n / 1e3).toFixed(1))}k`;
  return `${trim((n / 1e6).toFixed(1))}M`;
}

/** Milliseconds: 0.4 ms, 12 ms, 1.3 s, 2 min */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 9.95) return `${trim(Number(ms).toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${trim((ms / 1000).toFixed(ms < 9950 ? 1 : 0))} s`;
  return `${Math.round(ms / 60_000)} min`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes: 12 MB */
export function bytes(value) {
  let n = Number(value) || 0;
  let unit = 0;
  while (n >= 999.5 && unit < UNITS.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${n < 9.95 && unit ? trim(n.toFixed(1)) : Math.round(n)} ${UNITS[unit]}`;
}

/** A share of one core or of all: 3 % */
export function percent(value) {
  const n = Number(value) || 0;
  return `${n > 0 && n < 9.95 ? trim(n.toFixed(1)) : Math.round(n)} %`;
}

/** Seconds as people say them: 12 s, 4 min, 3 h, 12 d */
export function span(seconds) {
  const n = Math.max(0, Number(seconds) || 0);
  if (n < 90) return `${Math.round(n)} s`;
  if (n < 5400) return `${Math.round(n / 60)} min`;
  if (n < 172_800) return `${Math.round(n / 3600)} h`;
  return `${Math.round(n / 86_400)} d`;
}

export function clock(at, withSeconds = true) {
  const time = at instanceof Date ? at : new Date(at);
  if (Number.isNaN(time.getTime())) return "–";
  const parts = [time.getHours(), time.getMinutes()];
  if (withSeconds) parts.push(time.getSeconds());
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

export function day(at) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? "–" : `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/** Time of day, with the day in front unless it is today. */
export function moment(at) {
  return day(at) === day(Date.now()) ? clock(at) : `${day(at)} ${clock(at)}`;
}

const two = (n) => String(n).padStart(2, "0");

function trim(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
