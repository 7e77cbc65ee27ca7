/**
 * The picture as a graph: which nodes and edges there are. Pure; where they stand is for layout.js.
 *
 * Columns from left to right: visitors, gate, sites, routes (only where a site has several), upstreams and other ends, servers.
 * What does not fit is gathered in a node "more", which opens when it is clicked; servers in trouble are never hidden in it.
 */

/** How much is shown before the rest is gathered in "more", where there is room and on a phone. */
export const ROOMY = { sites: 9, servers: 18 };
export const NARROW = { sites: 5, servers: 9 };

const FINE = new Set(["up", "full"]);
const WAITING = new Set(["draining", "disabled", "stopped", "stopping", "starting", "free"]);

/** up, wait (nobody's fault) or down. */
export function health(server) {
  const word = server?.condition || server?.state || "down";
  return FINE.has(word) ? "up" : WAITING.has(word) ? "wait" : "down";
}

/** A server of the picture with what the last tick says of it. */
export function current(upstream, server, tick) {
  return { ...server, ...(tick?.servers?.[`${upstream.name}/${server.id}`] ?? {}) };
}

/** `picture` and `tick` as /v1/live sends them; `opened`: keys of the "more" nodes that were opened. */
export function graph(picture, tick, opened = new Set(), most = ROOMY) {
  const make = { nodes: [], edges: [], trails: new Map() };
  node(make, "visitors", "visitors", 0);
  node(make, "gate", "gate", 1);
  edge(make, "visitors", "gate", { total: true });
  const upstreams = new Map((picture?.upstreams ?? []).map((upstream) => [upstream.name, upstream]));
  const sites = (picture?.sites ?? []).filter((site) => !site.internal);
  const cut = sites.length > most.sites + 1 && !opened.has("more-sites") ? most.sites : sites.length;
  const shown = sites.slice(0, cut);
  const ends = [];
  for (const site of shown) addSite(make, site, ends, upstreams);
  const hidden = sites.slice(cut);
  if (hidden.length) {
    node(make, "more-sites", "more", 2, { count: hidden.length, of: "sites" });
    edge(make, "gate", "more-sites", { sites: hidden.map((site) => site.id) });
    for (const site of hidden) make.trails.set(`site ${site.id}`, ["visitors>gate", "gate>more-sites"]);
  }
  const reached = new Set(hidden.flatMap((site) => site.routes.flatMap((route) => route.upstreams ?? [])));
  for (const upstream of upstreams.values()) {
    if (!ends.includes(upstream.name) && !reached.has(upstream.name) && !upstream.internal && ends.length < most.sites * 2) {
      ends.push(upstream.name);
    }
  }
  const limit = perUpstream(ends.map((name) => upstreams.get(name)), most.servers);
  for (const name of ends) addUpstream(make, upstreams.get(name), tick, limit, opened);
  return make;
}

function node(make, key, kind, column, more = {}) {
  if (!make.nodes.some((other) => other.key === key)) make.nodes.push({ key, kind, column, ...more });
}

function edge(make, from, to, flow) {
  const key = `${from}>${to}`;
  const known = make.edges.find((other) => other.key === key);
  if (!known) make.edges.push({ key, from, to, flows: [flow] });
  else known.flows.push(flow);
  return key;
}

function addSite(make, site, ends, upstreams) {
  const key = `site/${site.id}`;
  node(make, key, "site", 2, { site });
  const start = ["visitors>gate", edge(make, "gate", key, { sites: [site.id] })];
  make.trails.set(`site ${site.id}`, start);
  const several = site.routes.length > 1;
  for (const [index, route] of site.routes.entries()) {
    let from = key;
    const trail = [...start];
    if (several) {
      from = `route/${site.id}/${index}`;
      node(make, from, "route", 3, { site, route });
      trail.push(edge(make, key, from, { row: route.row }));
    }
    const names = (route.upstreams ?? []).filter((name) => upstreams.has(name) && !upstreams.get(name).internal);
    for (const name of names) {
      if (!ends.includes(name)) ends.push(name);
      node(make, `upstream/${name}`, "upstream", 4, { upstream: upstreams.get(name) });
      const last = edge(make, from, `upstream/${name}`, { row: route.row, share: 1 / names.length });
      make.trails.set(`row ${route.row} ${name}`, [...trail, last]);
    }
    if (!names.length && !several) {
      const end = `end/${site.id}/${index}`;
      node(make, end, "end", 4, { site, route });
      trail.push(edge(make, from, end, { row: route.row }));
    }
    make.trails.set(`row ${route.row}`, trail);
  }
}

/** How many servers of each upstream there is room for. */
function perUpstream(upstreams, most) {
  const total = upstreams.reduce((sum, upstream) => sum + upstream.servers.length, 0);
  return total <= most ? most : Math.max(2, Math.floor(most / upstreams.length));
}

function addUpstream(make, upstream, tick, limit, opened) {
  const key = `upstream/${upstream.name}`;
  node(make, key, "upstream", 4, { upstream });
  const more = `more/${upstream.name}`;
  const all = upstream.servers.map((server) => current(upstream, server, tick));
  const isCut = all.length > limit + 1 && !opened.has(more);
  const shown = isCut ? all.filter((server, index) => index < limit || health(server) === "down").slice(0, limit + 6) : all;
  const rest = all.filter((server) => !shown.includes(server));
  if (rest.length === 1) shown.push(...rest.splice(0)); // one more takes no more room than "one more"
  for (const server of shown) {
    const name = `server/${upstream.name}/${server.id}`;
    node(make, name, "server", 5, { upstream, server });
    const last = edge(make, key, name, { server: `${upstream.name}/${server.id}` });
    make.trails.set(`server ${upstream.name}/${server.id}`, [last]);
  }
  if (!rest.length) return;
  node(make, more, "more", 5, { count: rest.length, of: "servers", upstream });
  const last = edge(make, key, more, { servers: rest.map((server) => `${upstream.name}/${server.id}`) });
  for (const server of rest) make.trails.set(`server ${upstream.name}/${server.id}`, [last]);
}

/** The edges that a request took, in order. */
export function trail(graph, request) {
  const row = request.row ?? request.route;
  const start =
    graph.trails.get(`row ${row} ${request.upstream}`) ??
    graph.trails.get(`row ${row}`) ??
    graph.trails.get(`site ${request.site}`) ?? ["visitors>gate"];
  if (!request.server || !request.upstream || !start.at(-1).endsWith(`upstream/${request.upstream}`)) return start;
  return [...start, ...(graph.trails.get(`server ${request.upstream}/${request.server}`) ?? [])];
}

/** What passes over an edge, from a tick: `{ rps, errors }` per second. */
export function load(edge, tick) {
  const sum = { rps: 0, errors: 0 };
  const add = (figures, share = 1) => {
    sum.rps += (figures?.rps ?? 0) * share;
    sum.errors += (figures?.errors ?? 0) * share;
  };
  if (!tick) return sum;
  for (const flow of edge.flows) {
    if (flow.total) add(tick.total);
    for (const id of flow.sites ?? []) add(tick.sites?.[id]);
    if (flow.row !== undefined) add(tick.routes?.[flow.row], flow.share);
    if (flow.server) add(tick.servers?.[flow.server]);
    for (const id of flow.servers ?? []) add(tick.servers?.[id]);
  }
  return sum;
}
