// What is shown while no node is chosen: how the plant is, what is wrong in it, where its data come from.

import { ask } from "./graphql_client.js";
import { element, HEALTH, healthBadge } from "./element.js";
import { plain, timeText, withUnit } from "./format.js";
import { healthOf } from "./plant.js";

const ANOMALIES = "{ anomalies(first: 30) { id rule severity value operator threshold unit since node { id name } signal { id } } }";
const SOURCES = "{ sources { name protocol address state healthy error counters { name value } } }";
const WORST = { critical: 0, warning: 1 };

export class OverviewPanel {
  constructor(host, { onSelect }) {
    Object.assign(this, { host, onSelect });
    this.shown = false;
  }

  async show(plant) {
    this.shown = true;
    this.plant = plant;
    // Not every key may see the sources.
    const [{ anomalies }, { sources }] = await Promise.all([ask(ANOMALIES), ask(SOURCES).catch(() => ({ sources: [] }))]);
    if (!this.shown) return;
    anomalies.sort((a, b) => (WORST[a.severity] ?? 2) - (WORST[b.severity] ?? 2));
    this.host.replaceChildren(
      element("header.panel-head", {}, element("h2", {}, plant.name || "Plant")),
      this.summary(),
      element("section", { "aria-label": "Open anomalies" }, element("h3", {}, "Open anomalies"), this.anomalyList(anomalies)),
      this.lineList(),
      sources.length ? element("section", {}, element("h3", {}, "Sources"), element("ul.sources", {}, sources.map(source))) : "",
    );
  }

  hide() {
    this.shown = false;
  }

  refresh() {
    if (this.shown) this.show(this.plant);
  }

  summary() {
    const counts = this.plant.counts();
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const parts = HEALTH.filter((health) => counts[health]);
    // Widths go through the style's own interface: attributes named style are forbidden by the page's policy.
    const bar = element("div.bar-of-health", { role: "img", "aria-label": parts.map((health) => `${counts[health]} ${health}`).join(", ") });
    for (const health of parts) {
      const piece = element("span", { data: { health } });
      piece.style.flexGrow = counts[health];
      bar.append(piece);
    }
    const words = parts.map((health) => `${counts[health]} ${health}`).join(", ");
    return total ? element("section.summary", {}, bar, element("p.quiet", {}, `${total} machines: ${words}`)) : "";
  }

  anomalyList(anomalies) {
    if (!anomalies.length) return element("p.fine", {}, "Nothing is wrong");
    return element(
      "div",
      {},
      anomalies.map(({ rule, severity, value, operator, threshold, unit, since, node, signal }) =>
        element(
          "button.alarm",
          { type: "button", data: { severity }, onclick: () => node && this.onSelect(node.id) },
          element("strong", {}, `${node?.name ?? "gone"}`, element("span.severity", {}, severity)),
          element("span", {}, `${plain(rule)}: ${signal?.id.split(".").slice(-1)[0] ?? ""} ${withUnit(value, unit)} ${operator} ${withUnit(threshold, unit)}`),
          element("time.quiet", { datetime: since }, `since ${timeText(since)}`),
        ),
      ),
    );
  }

  lineList() {
    const items = this.plant.groups.slice(0, 100).map((group) =>
      element(
        "li",
        {},
        healthBadge(healthOf(group), group.health.score),
        element("a", { href: `#${encodeURIComponent(group.id)}`, onclick: (event) => this.go(event, group.id) }, group.name),
        element("span.quiet", {}, `${this.plant.below(group).length} machines`),
      ),
    );
    return items.length ? element("section", {}, element("h3", {}, "Lines"), element("ul.parts", {}, items)) : "";
  }

  go(event, id) {
    event.preventDefault();
    this.onSelect(id);
  }
}

function source({ name, protocol, address, state, healthy, error, counters }) {
  const count = Object.fromEntries(counters.map((counter) => [counter.name, counter.value]));
  const lost = count.dead_lettered ? `, ${count.dead_lettered.toLocaleString("en")} dead letters` : "";
  return element(
    "li",
    {},
    element("span.dot", { data: { state: healthy ? state : "failed" }, "aria-hidden": "true" }),
    element("strong", {}, name),
    element("span.quiet", {}, state, error ? `: ${error}` : ""),
    element("span.quiet.wide", {}, `${address || protocol} · ${(count.stored ?? 0).toLocaleString("en")} readings stored${lost}`),
  );
}
