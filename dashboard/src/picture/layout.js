/**
 * Where the nodes of the picture stand and how the edges run. Pure: `{ nodes: Map(key → box), edges: Map(key → cubic), height }`.
 *
 * Wide: columns from left to right. Narrow (a phone): a tree from top to bottom, each level a little further in.
 */

const WIDTHS = {
  visitors: [72, 96],
  gate: [72, 104],
  site: [112, 226],
  route: [84, 170],
  upstream: [104, 200],
  server: [132, 236],
};
const COLUMN = ["visitors", "gate", "site", "route", "upstream", "server"];
const LEAST_GAP = 20;
const LEAST_HEIGHT = 180;

/** The least width at which columns are used. */
export function leastWidth(graph) {
  const columns = used(graph);
  return columns.reduce((sum, column) => sum + WIDTHS[COLUMN[column]][0], 0) + LEAST_GAP * (columns.length - 1);
}

export function arrange(graph, width) {
  return width >= leastWidth(graph) ? inColumns(graph, width) : asTree(graph, width);
}

function used(graph) {
  return [0, 1, 2, 3, 4, 5].filter((column) => graph.nodes.some((node) => node.column === column));
}

function heightOf(node, dense) {
  if (node.kind === "visitors" || node.kind === "gate") return 84;
  if (node.kind === "route" || node.kind === "end" || node.kind === "more") return dense ? 34 : 38;
  return dense ? 40 : 52;
}

/** Left edge and width of each column. */
function columns(graph, width) {
  const which = used(graph);
  const spans = which.map((column) => WIDTHS[COLUMN[column]]);
  const least = spans.reduce((sum, [low]) => sum + low, 0);
  const most = spans.reduce((sum, [, high]) => sum + high, 0);
  const gaps = Math.max(1, which.length - 1);
  const spare = width - least - LEAST_GAP * gaps;
  const grown = Math.min(most - least, spare * 0.6);
  const gap = (width - least - grown) / gaps;
  const found = new Map();
  let x = 0;
  which.forEach((column, index) => {
    const [low, high] = spans[index];
    const w = low + (most > least ? (grown * (high - low)) / (most - least) : 0);
    found.set(column, { x, w });
    x += w + gap;
  });
  return found;
}

function inColumns(graph, width) {
  const places = columns(graph, width);
  const dense = [2, 3, 4, 5].some((column) => graph.nodes.filter((node) => node.column === column).length > 7);
  const gap = dense ? 8 : 14;
  const boxes = new Map();
  for (const node of graph.nodes) boxes.set(node.key, { ...places.get(node.column), y: 0, h: heightOf(node, dense), dense });
  // From the right to the left each node stands at the middle of what follows it; the last column stands one below the other.
  const targets = (key) => graph.edges.filter((edge) => edge.from === key).map((edge) => boxes.get(edge.to));
  for (const column of [5, 4, 3, 2]) {
    let before = null;
    const wanted = graph.nodes
      .filter((node) => node.column === column)
      .map((node) => {
        const box = boxes.get(node.key);
        const own = targets(node.key);
        const parted = before !== null && column === 5 && before !== node.upstream?.name ? gap : 0;
        before = node.upstream?.name ?? null;
        return { box, parted, middle: own.length ? mean(own.map((other) => other.y + other.h / 2)) : null };
      });
    if (dense && column === 2) spread(wanted, bottom(boxes), gap);
    else pack(wanted, gap);
  }
  lift(boxes);
  for (const key of ["gate", "visitors"]) {
    const box = boxes.get(key);
    const own = key === "gate" ? targets(key) : [boxes.get("gate")];
    const reach = own.length ? [Math.min(...own.map((other) => other.y)), Math.max(...own.map((other) => other.y + other.h))] : [0, box.h];
    box.y = (reach[0] + reach[1]) / 2 - box.h / 2;
  }
  lift(boxes);
  const spare = (LEAST_HEIGHT - bottom(boxes)) / 2;
  if (spare > 0) for (const box of boxes.values()) box.y += spare;
  const edges = new Map();
  for (const edge of graph.edges) {
    const from = boxes.get(edge.from);
    const to = boxes.get(edge.to);
    const start = [from.x + from.w, from.y + from.h / 2];
    const end = [to.x, to.y + to.h / 2];
    const bend = (end[0] - start[0]) * 0.55;
    edges.set(edge.key, [start, [start[0] + bend, start[1]], [end[0] - bend, end[1]], end]);
  }
  return { nodes: boxes, edges, height: Math.max(LEAST_HEIGHT, bottom(boxes)), isTree: false };
}

/** Put boxes one below the other, as near to their wanted middles as their order allows. */
function pack(wanted, gap) {
  let least = 0;
  const off = [];
  for (const { box, middle, parted } of wanted) {
    const ideal = middle === null ? least + parted : middle - box.h / 2;
    box.y = Math.max(least + parted, ideal);
    if (middle !== null) off.push(box.y - ideal);
    least = box.y + box.h + gap;
  }
  // All of them move up by what they were pushed down on average, so that the whole stands in the middle.
  const shift = off.length ? mean(off) : 0;
  for (const { box } of wanted) box.y -= shift;
}

/** Put many boxes evenly over a height, or one below the other where that is too little. */
function spread(wanted, height, gap) {
  const own = wanted.reduce((sum, { box }) => sum + box.h, 0);
  const between = Math.max(gap, Math.min(3 * gap, (height - own) / Math.max(1, wanted.length - 1)));
  let y = (height - own - between * (wanted.length - 1)) / 2;
  for (const { box } of wanted) {
    box.y = y;
    y += box.h + between;
  }
}

/** Move everything so that the topmost box touches the top. */
function lift(boxes) {
  const top = Math.min(...[...boxes.values()].map((box) => box.y));
  for (const box of boxes.values()) box.y -= top;
}

function asTree(graph, width) {
  const boxes = new Map();
  const order = new Map(graph.nodes.map((node) => [node.key, node]));
  let y = 0;
  const visit = (key, depth) => {
    if (boxes.has(key)) return;
    const node = order.get(key);
    const h = node.kind === "visitors" || node.kind === "gate" ? 48 : heightOf(node, node.kind === "server") + 4;
    const x = Math.min(depth, 5) * 16;
    boxes.set(key, { x, y, w: width - x, h, dense: false, flat: true });
    y += h + 8;
    for (const edge of graph.edges) if (edge.from === key) visit(edge.to, depth + 1);
  };
  visit("visitors", 0);
  for (const node of graph.nodes) visit(node.key, 2); // upstreams that no site uses
  const edges = new Map();
  for (const edge of graph.edges) {
    const from = boxes.get(edge.from);
    const to = boxes.get(edge.to);
    const x = from.x + 8;
    const down = to.y > from.y;
    const start = [x, down ? from.y + from.h : from.y];
    const end = [to.x, to.y + to.h / 2];
    edges.set(edge.key, [start, [x, end[1]], [x, end[1]], end]);
  }
  return { nodes: boxes, edges, height: bottom(boxes), isTree: true };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const bottom = (boxes) => Math.max(...[...boxes.values()].map((box) => box.y + box.h));

/** A cubic as the `d` of an SVG path. */
export function path(cubic) {
  const [a, b, c, d] = cubic.map((point) => point.map((value) => Math.round(value * 10) / 10).join(" "));
  return `M${a}C${b} ${c} ${d}`;
}

/** The point at `part` (0…1) of a cubic. */
export function along([a, b, c, d], part) {
  const rest = 1 - part;
  const [p, q, r, s] = [rest ** 3, 3 * rest * rest * part, 3 * rest * part * part, part ** 3];
  return [a[0] * p + b[0] * q + c[0] * r + d[0] * s, a[1] * p + b[1] * q + c[1] * r + d[1] * s];
}
