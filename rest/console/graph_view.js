// The drawing: cytoscape draws lines, frames and arrows and handles the pointer; the cards on top are DOM elements, so
// that they are crisp, can be reached by keyboard, and are read aloud.

import cytoscape from "./vendor/cytoscape-3.34.4.min.mjs";
import { element, healthBadge, setText } from "./element.js";
import { plain, withUnit } from "./format.js";
import { CARD, arrange } from "./layout.js";
import { healthOf } from "./plant.js";

const OPEN_ALL = 60; // up to so many components all lines are open from the start
const DRAWN = 400; // more cards than this are neither readable nor quick
const READABLE = 0.42; // below this zoom a card shows only its colour
const EASY = 0.7; // a node that was looked for is shown at least this large
const FRAME_HEAD = 40;
const MARGIN = 26;

export class GraphView {
  /** `onSelect(id)` and `onOpen()` tell what the reader did; ids of `drawn` change with `onOpen`. */
  constructor({ canvas, drawing, cards, notice }, { onSelect, onOpen }) {
    Object.assign(this, { canvas, layer: cards, notice, onSelect, onOpen });
    this.open = new Set();
    this.cards = new Map();
    this.cy = cytoscape({
      container: drawing,
      minZoom: 0.05,
      maxZoom: 2,
      boxSelectionEnabled: false,
      autoungrabify: true,
      autounselectify: true,
      style: style(),
    });
    this.cy.on("viewport", () => this.follow());
    this.cy.on("tap", (event) => this.tapped(event));
    this.cy.on("mouseover mouseout", "node", (event) => this.hover(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.cy.style(style()));
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  /** The ids of everything that is drawn. */
  get drawn() {
    return [...this.cards.keys()];
  }

  /** Draws the plant anew; what was open stays open. */
  show(plant, { keepView = false } = {}) {
    const first = !this.plant;
    this.plant = plant;
    const components = [...plant.nodes.values()].filter((node) => node.level === "COMPONENT").length;
    if (first && components <= OPEN_ALL) for (const group of plant.groups) this.open.add(group.id);
    this.draw();
    if (!keepView) this.fit();
  }

  draw() {
    const { groups, parts, left } = this.chosen();
    const focused = document.activeElement?.closest("#cards [data-id]")?.dataset.id;
    this.cy.elements().remove();
    this.layer.replaceChildren();
    this.cards.clear();
    const size = { width: (this.canvas.clientWidth || 1000) - 2 * MARGIN, height: (this.canvas.clientHeight || 600) - 2 * MARGIN };
    const blocks = groups.map((group) => ({ group, ids: (parts.get(group.id) ?? []).map((node) => node.id) }));
    for (const one of arrange(blocks, this.plant.arrows, size)) this.place(one, parts.get(one.group.id));
    this.addArrows();
    this.tell(left);
    this.follow();
    this.select(this.selected);
    this.cards.get(focused)?.focus({ preventScroll: true });
  }

  // The groups and, of the open ones, the components that there is room for; the least healthy lines come first
  // where there are too many.
  chosen() {
    const rank = { critical: 0, warning: 1, stale: 2, unknown: 3, healthy: 4 };
    let groups = this.plant.groups;
    let left = 0;
    if (groups.length > DRAWN) {
      left = groups.length - DRAWN;
      groups = [...groups].sort((a, b) => rank[healthOf(a)] - rank[healthOf(b)]).slice(0, DRAWN);
    }
    let room = DRAWN - groups.length;
    const parts = new Map();
    for (const group of groups) {
      if (!this.open.has(group.id)) continue;
      const all = this.plant.below(group);
      parts.set(group.id, all.slice(0, Math.max(room, 20)));
      room -= parts.get(group.id).length;
      left += all.length - parts.get(group.id).length;
    }
    return { groups, parts, left };
  }

  place({ group, x, y, width, height, places }, parts) {
    if (!parts?.length) {
      this.add(group, { x: x + CARD.width / 2, y: y + CARD.height / 2 }, { width: CARD.width, height: CARD.height });
      this.cards.set(group.id, this.lineCard(group, x, y));
    } else {
      this.add(group, { x: x + width / 2, y: y + height / 2 }, { width, height }, "frame");
      this.cards.set(group.id, this.frameHead(group, x, y, width));
      for (const node of parts) {
        const at = { x: x + places.get(node.id).x, y: y + places.get(node.id).y };
        this.add(node, at, { width: CARD.width, height: CARD.height });
        this.cards.set(node.id, this.componentCard(node, at));
      }
    }
  }

  add(node, position, size, kind = "card") {
    const data = { id: node.id, health: healthOf(node), ...size };
    this.cy.add({ group: "nodes", data, position, classes: kind });
  }

  // An arrow whose end is hidden in a closed line ends at that line.
  addArrows() {
    const seen = new Set();
    for (const { source, target, time } of this.plant.arrows) {
      const from = this.visible(source);
      const to = this.visible(target);
      if (!from || !to || from === to || seen.has(`${from}\n${to}`)) continue;
      seen.add(`${from}\n${to}`);
      const label = time && from === source && to === target ? `${time} s` : "";
      this.cy.add({ group: "edges", data: { source: from, target: to, label }, classes: this.bend(from, to) });
    }
  }

  bend(from, to) {
    const a = this.cy.getElementById(from).position();
    const b = this.cy.getElementById(to).position();
    if (b.x > a.x) return "ahead";
    return b.y > a.y + CARD.height ? "fold" : "back";
  }

  visible(id) {
    if (this.cards.has(id)) return id;
    const node = this.plant.nodes.get(id);
    const group = node && this.plant.groupOf(node);
    return group && this.cards.has(group.id) ? group.id : null;
  }

  // Cards

  componentCard(node, { x, y }) {
    const card = this.button("card", node, x - CARD.width / 2, y - CARD.height / 2, CARD);
    card.append(
      element("span.card-name", { title: node.name }, node.name),
      element("span.card-type", {}, plain(node.type ?? "component")),
      element("span.card-badge"),
      element("span.card-values"),
    );
    this.layer.append(card);
    this.paint(node, card);
    return card;
  }

  lineCard(group, x, y) {
    const count = this.plant.below(group).length;
    const card = this.button("card", group, x, y, CARD);
    card.classList.add("line");
    card.setAttribute("aria-expanded", "false");
    card.append(
      element("span.card-name", { title: group.name }, group.name),
      element("span.card-type", {}, plain(group.type ?? group.level.toLowerCase())),
      element("span.card-badge"),
      element("span.card-values", {}, count ? `${count} machine${count === 1 ? "" : "s"} ▸` : "empty"),
    );
    this.layer.append(card);
    this.paint(group, card);
    return card;
  }

  frameHead(group, x, y, width) {
    const head = this.button("frame-head", group, x, y, { width, height: FRAME_HEAD });
    const where = [];
    for (let at = group.parent; at; at = this.plant.nodes.get(at.id)?.parent) where.unshift(this.plant.nodes.get(at.id)?.name ?? at.id);
    head.setAttribute("aria-expanded", "true");
    head.append(
      element("span.card-name", {}, group.name),
      element("span.card-badge"),
      element("span.card-type", {}, [...where, plain(group.type)].filter(Boolean).join(" / ")),
    );
    this.layer.append(head);
    this.paint(group, head);
    return head;
  }

  button(kind, node, x, y, { width, height }) {
    const made = element(`button.${kind}`, { type: "button", data: { id: node.id } });
    made.style.transform = `translate(${x}px, ${y}px)`;
    made.style.width = `${width}px`;
    made.style.height = `${height}px`;
    made.onclick = () => this.choose(node.id);
    made.onfocus = () => this.reveal(node.id);
    made.onkeydown = (event) => this.pressed(event, node.id);
    return made;
  }

  /** Shows a node's health and values as they are now. */
  paint(node, card = this.cards.get(node.id)) {
    if (!card) return;
    const health = healthOf(node);
    const badge = card.querySelector(".card-badge");
    const score = health === "stale" ? null : node.health.score;
    if (card.dataset.health !== health || badge.dataset.score !== String(score)) {
      card.dataset.health = health;
      badge.dataset.score = String(score);
      badge.replaceChildren(healthBadge(health, score));
      this.cy.getElementById(node.id).data("health", health);
    }
    this.paintValues(node, card);
    card.setAttribute("aria-label", `${node.name}, ${plain(node.type ?? node.level.toLowerCase())}, ${health}`);
  }

  paintValues(node, card = this.cards.get(node.id)) {
    if (!card || node.level !== "COMPONENT") return;
    const texts = node.headlines.map(({ value, unit }) => withUnit(value, unit)).filter((text) => text !== "–");
    setText(card.querySelector(".card-values"), texts.length ? texts.join(" · ") : "no reading yet");
  }

  // What the reader does

  tapped({ target }) {
    if (target === this.cy) this.choose(null);
    else if (target.isNode()) this.choose(target.id());
  }

  hover({ type, target }) {
    this.cards.get(target.id())?.classList.toggle("hover", type === "mouseover");
    this.canvas.classList.toggle("pointing", type === "mouseover" && !target.hasClass("frame"));
  }

  /** A click on a closed line opens it, on anything else selects it. */
  choose(id) {
    const node = this.plant.nodes.get(id);
    if (node && this.plant.groups.includes(node) && !this.open.has(id) && node.parts.length) this.toggle(id, true);
    this.onSelect(id);
  }

  toggle(id, open) {
    if (open) this.open.add(id);
    else this.open.delete(id);
    this.draw();
    this.onOpen();
    this.reveal(id, true);
  }

  pressed(event, id) {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.key === "Escape") return this.onSelect(null);
    const step = steps[event.key];
    if (!step) return undefined;
    event.preventDefault();
    return this.cards.get(this.neighbour(id, step))?.focus();
  }

  // The nearest card in that direction; being off to the side counts double.
  neighbour(id, [dx, dy]) {
    const here = this.cy.getElementById(id).position();
    let best = null;
    let least = Infinity;
    for (const node of this.cy.nodes(".card")) {
      const ahead = (node.position().x - here.x) * dx + (node.position().y - here.y) * dy;
      const aside = Math.abs((node.position().x - here.x) * dy) + Math.abs((node.position().y - here.y) * dx);
      const far = ahead + 2 * aside;
      if (ahead > 1 && far < least) [best, least] = [node.id(), far];
    }
    return best;
  }

  select(id) {
    this.cards.get(this.selected)?.classList.remove("selected");
    this.selected = id;
    this.cards.get(id)?.classList.add("selected");
    this.cy.elements(".selected").removeClass("selected");
    if (id) this.cy.getElementById(id).addClass("selected");
  }

  /** Opens what hides the node, and brings it into sight. */
  find(id) {
    const node = this.plant.nodes.get(id);
    const group = node && this.plant.groupOf(node);
    if (group && group !== node && !this.open.has(group.id)) this.toggle(group.id, true);
    this.reveal(this.visible(id), true);
  }

  reveal(id, always = false) {
    const node = id ? this.cy.getElementById(id) : null;
    if (!node?.length) return;
    const box = node.renderedBoundingBox();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const inside = box.x1 >= 0 && box.y1 >= 0 && box.x2 <= width && box.y2 <= height;
    if (inside && (!always || this.cy.zoom() >= EASY)) return;
    if (box.x2 - box.x1 > width || box.y2 - box.y1 > height || node.hasClass("frame")) this.cy.fit(node, 24);
    else this.cy.animate({ center: { eles: node }, zoom: Math.max(this.cy.zoom(), 0.8), duration: 200 });
  }

  zoom(factor) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: width / 2, y: height / 2 } });
    this.touched = true;
  }

  fit() {
    this.touched = false;
    this.cy.fit(undefined, MARGIN);
    if (this.cy.zoom() > 1.15) {
      this.cy.zoom(1.15);
      this.cy.center();
    }
  }

  resized() {
    this.cy.resize();
    if (this.plant && !this.touched) this.fit();
  }

  // Keeping the cards where cytoscape draws their boxes.
  follow() {
    const { x, y } = this.cy.pan();
    const zoom = this.cy.zoom();
    this.layer.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    this.layer.classList.toggle("far", zoom < READABLE);
  }

  tell(left) {
    const closed = this.plant.groups.filter((group) => !this.open.has(group.id) && group.parts.length).length;
    const words = [];
    if (closed) words.push(`${closed} of ${this.plant.groups.length} lines are closed: click one to see its machines`);
    if (left) words.push(`${left.toLocaleString("en")} nodes are not drawn: search finds them`);
    this.notice.hidden = !words.length;
    setText(this.notice, words.join(" · "));
  }
}

const HEALTHS = ["critical", "warning", "stale", "healthy", "unknown"];

// Cytoscape draws on a canvas and knows no custom properties: the page's colours are read and handed over.
function style() {
  const computed = getComputedStyle(document.documentElement);
  const colour = (name) => computed.getPropertyValue(`--${name}`).trim();
  return [
    {
      selector: "node",
      style: {
        width: "data(width)",
        height: "data(height)",
        shape: "round-rectangle",
        "corner-radius": 10,
        "background-color": colour("surface"),
        "border-width": 1,
        "border-color": colour("line"),
        "overlay-opacity": 0,
      },
    },
    {
      selector: "node.frame",
      style: { "corner-radius": 14, "background-color": colour("frame"), "border-color": colour("frame-line"), "z-index": 0, "z-compound-depth": "bottom" },
    },
    ...HEALTHS.map((health) => ({
      selector: `node.card[health = "${health}"]`,
      style: { "border-color": colour(health), "border-width": health === "critical" || health === "warning" ? 2 : 1.2 },
    })),
    { selector: "node.card.selected", style: { "border-color": colour("accent"), "border-width": 3 } },
    { selector: "node.frame.selected", style: { "border-color": colour("accent"), "border-width": 2 } },
    {
      selector: "edge",
      style: {
        width: 2,
        "line-color": colour("arrow"),
        "target-arrow-color": colour("arrow"),
        "target-arrow-shape": "triangle",
        "arrow-scale": 1.1,
        "curve-style": "round-taxi",
        "taxi-direction": "rightward",
        "taxi-turn": "50%",
        "taxi-radius": 8,
        label: "data(label)",
        "font-size": 12,
        "font-family": computed.getPropertyValue("--font").trim() || "sans-serif",
        color: colour("muted"),
        "text-background-color": colour("frame"),
        "text-background-opacity": 1,
        "text-background-padding": 2,
        "text-margin-y": -11,
        "overlay-opacity": 0,
      },
    },
    { selector: "edge.fold", style: { "taxi-direction": "downward" } },
    { selector: "edge.back", style: { "curve-style": "unbundled-bezier", "control-point-distances": [40], "control-point-weights": [0.5] } },
  ];
}
