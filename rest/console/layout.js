// Where things stand: components of a line from left to right along `feeds_into`, lines beside and below each other.

export const CARD = { width: 184, height: 86 };
const GAP = { x: 54, y: 26 };
const PAD = { side: 22, top: 56, bottom: 22 };
const GROUP_GAP = 34;
const ROWS = [12, 10, 8, 7, 6, 5, 4, 3]; // how many layers may stand in a row before the line is folded
const SMALL = 0.6; // a zoom below which a card is hard to read
const WORTH = 1.15; // a fold must make everything so much larger

/** Layers of ids along the arrows: the longest way from a beginning decides; arrows that close a circle are left out. */
export function layers(ids, arrows) {
  const next = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of arrows) if (next.has(source) && next.has(target) && source !== target) next.get(source).push(target);
  const order = [];
  const mark = new Map();
  const forward = new Map(ids.map((id) => [id, []]));
  for (const start of ids) visit(start, next, mark, forward, order);
  const rank = new Map(ids.map((id) => [id, 0]));
  for (const id of order.reverse()) for (const target of forward.get(id)) rank.set(target, Math.max(rank.get(target), rank.get(id) + 1));
  const found = [];
  for (const id of ids) (found[rank.get(id)] ??= []).push(id);
  return straighten(found, forward);
}

// Depth first without recursion: a line of ten thousand machines must not overflow the stack.
function visit(start, next, mark, forward, order) {
  if (mark.has(start)) return;
  const stack = [[start, 0]];
  mark.set(start, "open");
  while (stack.length) {
    const top = stack[stack.length - 1];
    const [id, at] = top;
    const targets = next.get(id);
    if (at === targets.length) {
      mark.set(id, "done");
      order.push(id);
      stack.pop();
      continue;
    }
    top[1]++;
    const target = targets[at];
    if (mark.get(target) === "open") continue;
    forward.get(id).push(target);
    if (!mark.has(target)) {
      mark.set(target, "open");
      stack.push([target, 0]);
    }
  }
}

// Within a layer, whoever is fed by the upper stands above: the mean of the feeders' places decides.
function straighten(found, forward) {
  const place = new Map();
  found[0]?.forEach((id, at) => place.set(id, at));
  for (let layer = 1; layer < found.length; layer++) {
    const feeders = new Map(found[layer].map((id) => [id, []]));
    for (const before of found.slice(0, layer).flat())
      for (const target of forward.get(before)) feeders.get(target)?.push(place.get(before));
    const mean = (id) => feeders.get(id).reduce((sum, at) => sum + at, 0) / (feeders.get(id).length || 1);
    found[layer].sort((a, b) => mean(a) - mean(b));
    found[layer].forEach((id, at) => place.set(id, at));
  }
  return found;
}

/** A block of cards: `{width, height, places: Map(id -> {x, y})}`, coordinates of centres from the upper left corner. */
export function block(ids, arrows, longest) {
  const related = new Set(arrows.flatMap(({ source, target }) => [source, target]));
  const flowing = ids.filter((id) => related.has(id));
  const loose = ids.filter((id) => !related.has(id));
  const columns = flowing.length ? layers(flowing, arrows) : [];
  const places = new Map();
  let y = PAD.top;
  let width = 0;
  for (let from = 0; from < columns.length; from += longest) {
    const row = columns.slice(from, from + longest);
    const tallest = Math.max(...row.map((column) => column.length));
    row.forEach((column, at) => {
      const top = y + ((tallest - column.length) * (CARD.height + GAP.y)) / 2;
      column.forEach((id, below) => places.set(id, centre(at, top + below * (CARD.height + GAP.y))));
    });
    width = Math.max(width, row.length);
    y += tallest * (CARD.height + GAP.y) + (from + longest < columns.length ? GAP.y : 0);
  }
  const across = Math.max(width, Math.min(longest, Math.ceil(Math.sqrt(loose.length * 2))));
  loose.forEach((id, at) => places.set(id, centre(at % across, y + Math.floor(at / across) * (CARD.height + GAP.y))));
  y += Math.ceil(loose.length / (across || 1)) * (CARD.height + GAP.y);
  const used = Math.max(width, loose.length ? Math.min(across, loose.length) : 0, 1);
  return { width: 2 * PAD.side + used * CARD.width + (used - 1) * GAP.x, height: y - GAP.y + PAD.bottom, places };
}

function centre(column, top) {
  return { x: PAD.side + column * (CARD.width + GAP.x) + CARD.width / 2, y: top + CARD.height / 2 };
}

/**
 * Places for groups `[{ids, ...}]` in a window: the groups with `x`, `y`, `width`, `height` and `places`. Long lines are
 * folded like text where that makes everything larger, or, if all of it is small anyhow, the opened lines.
 */
export function arrange(groups, arrows, { width, height }) {
  let best = null;
  for (const longest of ROWS) {
    const blocks = groups.map((group) => ({ ...group, ...sized(group.ids, arrows, longest) }));
    const zoom = (box) => Math.min(width / box.width, height / box.height, 1);
    const whole = zoom(shelves(blocks, width / height));
    const opened = blocks.filter(({ ids }) => ids.length).map(zoom);
    const score = whole < SMALL && opened.length ? Math.min(...opened, SMALL + 0.3) : whole;
    if (!best || score > best.score * WORTH) best = { score, blocks };
  }
  return best.blocks;
}

function sized(ids, arrows, longest) {
  return ids.length ? block(ids, arrows, longest) : { ...CARD, places: new Map() };
}

// Sets blocks on shelves of about the shape of the window; each block gets `x`, `y` of its upper left corner.
function shelves(blocks, aspect) {
  const area = blocks.reduce((sum, { width, height }) => sum + (width + GROUP_GAP) * (height + GROUP_GAP), 0);
  const limit = Math.max(Math.sqrt(area * aspect), ...blocks.map(({ width }) => width));
  let x = 0;
  let y = 0;
  let tallest = 0;
  let widest = 0;
  for (const one of blocks) {
    if (x > 0 && x + one.width > limit) {
      x = 0;
      y += tallest + GROUP_GAP;
      tallest = 0;
    }
    Object.assign(one, { x, y });
    x += one.width + GROUP_GAP;
    tallest = Math.max(tallest, one.height);
    widest = Math.max(widest, one.x + one.width);
  }
  return { width: widest + 1, height: y + tallest + 1 };
}
