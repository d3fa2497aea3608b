// The plant as this page knows it: groups (lines, areas with components of their own, machines alone), components, arrows.

import { ask } from "./graphql_client.js";

const PAGE = 500;
const HEALTH_FIELDS = "health { score status } stale silent";

const PLACES = `query Places($after: String) {
  nodes(level: [ENTERPRISE, SITE, AREA, LINE], first: ${PAGE}, after: $after) {
    nodes { id key name type level parent { id } childCount signals { id name } ${HEALTH_FIELDS} }
    pageInfo { endCursor hasNextPage }
  }
}`;
const COMPONENTS = `query Components($after: String) {
  nodes(level: COMPONENT, first: ${PAGE}, after: $after) {
    nodes { id key name type level parent { id } childCount signals { id name } ${HEALTH_FIELDS}
      feedsInto { transferTime node { id } } }
    pageInfo { endCursor hasNextPage }
  }
}`;
const HEALTH_OF = `query Health($ids: [ID!]) {
  nodes(ids: $ids, first: ${PAGE}) { nodes { id ${HEALTH_FIELDS} } }
}`;
const HEADLINES = `query Headlines($ids: [ID!]) {
  nodes(ids: $ids, first: ${PAGE}) { nodes { id state(first: 2) { name value unit signals { id } } } }
}`;

async function pages(query) {
  const found = [];
  let after = null;
  do {
    const { nodes } = await ask(query, { after });
    found.push(...nodes.nodes);
    after = nodes.pageInfo.hasNextPage ? nodes.pageInfo.endCursor : null;
  } while (after);
  return found;
}

/** One word for how a node is: silence outweighs the health that was computed before it. */
export const healthOf = (node) => (node.stale ? "stale" : node.health.status.toLowerCase());

export class Plant {
  constructor() {
    this.nodes = new Map();
    this.arrows = [];
    this.groups = [];
  }

  async load() {
    const [places, components] = await Promise.all([pages(PLACES), pages(COMPONENTS)]);
    this.nodes = new Map([...places, ...components].map((node) => [node.id, node]));
    for (const node of this.nodes.values()) {
      node.parts = [];
      node.headlines = [];
      node.healthSignal = node.signals.find((signal) => signal.name === "health")?.id ?? null;
    }
    for (const node of components) this.nodes.get(node.parent?.id)?.parts.push(node);
    // Whoever may see one machine only sees it without the line that it stands in.
    const alone = components.filter((node) => !this.nodes.has(node.parent?.id));
    this.groups = [...places.filter((node) => node.level === "LINE" || node.parts.length), ...alone];
    this.arrows = components.flatMap((node) =>
      node.feedsInto.map((arrow) => ({ source: node.id, target: arrow.node.id, time: arrow.transferTime })),
    );
    this.name = places.find((node) => node.level === "ENTERPRISE" || node.level === "SITE")?.name ?? "";
  }

  /** The components at and below a node, parents first. */
  below(node) {
    return node.parts.flatMap((part) => [part, ...this.below(part)]);
  }

  /** The group (line) that a node belongs to. */
  groupOf(node) {
    let at = node;
    while (at.level === "COMPONENT" && this.nodes.has(at.parent?.id)) at = this.nodes.get(at.parent.id);
    return at;
  }

  /** Takes in what two readings of each of these components are to be shown on its card. */
  async loadHeadlines(ids) {
    for (let at = 0; at < ids.length; at += PAGE) {
      const { nodes } = await ask(HEADLINES, { ids: ids.slice(at, at + PAGE) });
      for (const { id, state } of nodes.nodes) {
        const node = this.nodes.get(id);
        if (node) node.headlines = state.map(headline);
      }
    }
  }

  /** Asks again how these nodes are; the ids of those whose health is another now. */
  async refreshHealth(ids) {
    const changed = [];
    for (let at = 0; at < ids.length; at += PAGE) {
      const { nodes } = await ask(HEALTH_OF, { ids: ids.slice(at, at + PAGE) });
      for (const { id, health, stale, silent } of nodes.nodes) {
        const node = this.nodes.get(id);
        if (!node) continue;
        if (JSON.stringify([node.health, node.stale, node.silent]) !== JSON.stringify([health, stale, silent]))
          changed.push(id);
        Object.assign(node, { health, stale, silent });
      }
    }
    return changed;
  }

  /** How many components are how. */
  counts() {
    const counts = { critical: 0, warning: 0, stale: 0, healthy: 0, unknown: 0 };
    for (const node of this.nodes.values()) if (node.level === "COMPONENT") counts[healthOf(node)]++;
    return counts;
  }
}

function headline({ name, value, unit, signals }) {
  return { name, value, unit, signals: signals.map((signal) => signal.id) };
}
