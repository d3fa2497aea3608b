// What is known about one node: what is wrong with it, what it shows, how that went, where it stands.

import { ask } from "./graphql_client.js";
import { element, healthBadge, setText } from "./element.js";
import { ageText, fullText, plain, spanText, timeText, valueText, unitText, withUnit } from "./format.js";
import { healthOf } from "./plant.js";
import { Trend } from "./trend.js";

const NODE = `query Node($id: ID!) {
  node(id: $id) {
    id key name level type origin properties stale silent health { score status }
    parent { id name }
    state { name unit value time quality stale signals { ...Shown } }
    signals { ...Shown }
    components { id name type stale health { score status } }
    feedsInto { transferTime node { id name } }
    fedBy { transferTime node { id name } }
    relationships { type transferTime source { id name } target { id name } }
    anomalies(open: false, first: 8) { id rule severity metric operator threshold value unit since until open signal { id name } }
  }
}
fragment Shown on Signal { id name unit value time quality stale stepped labels dataType role low high }`;
const ANOMALIES = `query Anomalies($id: ID!) {
  node(id: $id) {
    stale silent health { score status }
    anomalies(open: false, first: 8) { id rule severity metric operator threshold value unit since until open signal { id name } }
  }
}`;
const LIVE = `subscription Panel($nodes: [ID!]) { state(nodes: $nodes, maxHz: 5) { columns { signal value time quality } } }`;
const SPANS = { "5 min": 300_000, "1 h": 3_600_000, "24 h": 86_400_000, "7 d": 604_800_000 };
const POINTS = 500;
const MOST_SERIES = 6;

export class NodePanel {
  constructor(host, { subscriptions, onSelect, onClose, onToggle }) {
    Object.assign(this, { host, subscriptions, onSelect, onClose, onToggle });
    this.span = "1 h";
    setInterval(() => this.refreshAges(), 1000);
  }

  /** Shows a node; whatever was asked for another one meanwhile is dropped. */
  async show(id, { opened } = {}) {
    this.hide();
    const asked = (this.asked = {});
    this.id = id;
    this.opened = opened;
    let node;
    try {
      ({ node } = await ask(NODE, { id }));
    } catch (error) {
      node = null;
      this.problem = error.message;
    }
    if (this.asked !== asked) return;
    if (!node) {
      this.host.replaceChildren(element("p.quiet", {}, `There is nothing to show of ${id}. ${this.problem ?? ""}`));
      return;
    }
    this.node = node;
    this.entries = entries(node);
    this.render();
    this.chart();
    this.stop = this.subscriptions.follow(
      LIVE,
      () => ({ nodes: [node.id] }),
      ({ state }) => this.live(state.columns),
    );
  }

  hide() {
    this.asked = null;
    this.id = null;
    this.node = null;
    this.stop?.();
    this.stop = null;
  }

  /** Asks again how the node is, because something happened to it. */
  async refresh() {
    if (!this.node) return;
    const { asked } = this;
    const { node } = await ask(ANOMALIES, { id: this.node.id });
    if (this.asked !== asked || !node) return;
    Object.assign(this.node, node);
    this.anomalies.replaceChildren(...this.anomalyList());
    this.badge.replaceChildren(this.healthBadge());
    if (this.chosen && this.trend) this.trend.limits = this.limits(this.chosen);
  }

  render() {
    const { node } = this;
    this.anomalies = element("section", { "aria-label": "Anomalies" }, this.anomalyList());
    this.badge = element("span", {}, this.healthBadge());
    this.host.replaceChildren(
      this.head(),
      this.anomalies,
      ...(this.entries.length ? [this.trendBox(), this.signalTable()] : []),
      node.components.length ? this.componentList() : "",
      this.flow(),
      propertyList(node),
    );
  }

  head() {
    const { node } = this;
    const close = element("button.close", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.onClose() }, "×");
    const facts = [plain(node.type) || null, node.level.toLowerCase(), node.origin === "DISCOVERED" ? "discovered" : null];
    const toggle =
      this.opened === undefined
        ? null
        : element("button.small", { type: "button", onclick: () => this.onToggle(node.id) }, this.opened ? "Close this line" : "Open this line");
    return element(
      "header.panel-head",
      {},
      element("div.panel-title", {}, element("h2", {}, node.name), this.badge, close),
      element("p.quiet", {}, facts.filter(Boolean).join(" · "), node.parent ? [" in ", this.link(node.parent)] : null),
      element("p.id", {}, element("code", {}, node.id), toggle),
    );
  }

  healthBadge() {
    const health = healthOf(this.node);
    return healthBadge(health, null, true);
  }

  link({ id, name }) {
    return element("a", { href: `#${encodeURIComponent(id)}`, onclick: (event) => this.go(event, id) }, name);
  }

  go(event, id) {
    event.preventDefault();
    this.onSelect(id);
  }

  // Anomalies

  anomalyList() {
    const { anomalies } = this.node;
    const open = foremost(anomalies.filter((anomaly) => anomaly.open));
    const past = anomalies.filter((anomaly) => !anomaly.open).slice(0, 3);
    const silent = this.node.silent
      ? element("p.alarm", { data: { severity: "stale" } }, `${this.node.silent} signal${this.node.silent === 1 ? " has" : "s have"} fallen silent`)
      : null;
    if (!anomalies.length && !silent) return [element("p.fine", {}, "No open anomalies")];
    return [
      silent,
      ...open.map((anomaly) => this.anomaly(anomaly)),
      open.length || silent ? null : element("p.fine", {}, "No open anomalies"),
      past.length ? element("details.past", {}, element("summary", {}, "Cleared lately"), past.map((anomaly) => this.anomaly(anomaly))) : null,
    ].filter(Boolean);
  }

  anomaly({ rule, severity, metric, operator, threshold, value, unit, since, until, open, signal }) {
    const measured = metric === "rate_of_change" ? "rate of change of " : "";
    const end = open ? `since ${timeText(since)}` : `${timeText(since)}, for ${spanText((Date.parse(until) - Date.parse(since)) / 1000)}`;
    return element(
      "div.alarm",
      { data: { severity: open ? severity : "cleared" } },
      element("strong", {}, plain(rule), element("span.severity", {}, severity)),
      element("span", {}, `${measured}${signal?.id.split(".").slice(-1)[0] ?? "a signal"} ${withUnit(value, unit)} ${operator} ${withUnit(threshold, unit)}`),
      element("time.quiet", { datetime: since, title: fullText(since) }, end),
    );
  }

  // Signals

  signalTable() {
    this.rows = new Map();
    const body = element("tbody");
    for (const entry of this.entries) {
      const row = this.signalRow(entry);
      body.append(row);
      for (const signal of entry.signals) this.rows.set(signal.id, { entry, row });
    }
    this.chosen = this.worthSeeing();
    const head = element("tr", {}, ...["Signal", "Value", "Time", "Quality"].map((word) => element("th", { scope: "col" }, word)));
    return element("section", { "aria-label": "Signals" }, element("table.signals", {}, element("thead", {}, head), body));
  }

  // What is wrong is seen first; else what the reader looked at on the node before.
  worthSeeing() {
    const wrong = foremost(this.node.anomalies.filter((anomaly) => anomaly.open))[0]?.signal?.id;
    return (
      this.entries.find((entry) => entry.signals.some((signal) => signal.id === wrong)) ??
      this.entries.find((entry) => entry.name === this.lastChosen) ??
      this.entries.find((entry) => typeof first(entry.value) === "number" && entry.name !== "health") ??
      this.entries[0]
    );
  }

  // The thresholds of the rules that are broken, or were lately.
  limits(entry) {
    const ids = entry.signals.map((signal) => signal.id);
    const broken = this.node.anomalies.filter(({ metric, signal }) => metric === "value" && ids.includes(signal?.id));
    const lines = new Map(broken.map(({ threshold, severity }) => [`${threshold} ${severity}`, { value: threshold, severity }]));
    return [...lines.values()];
  }

  signalRow(entry) {
    const name = element("button.pick", { type: "button", onclick: () => this.pick(entry) }, plain(entry.name));
    const row = element(
      "tr",
      { data: { signal: entry.signals[0].id } },
      element("th", { scope: "row" }, name),
      element("td.value", {}, element("span.number"), element("span.unit")),
      element("td.age"),
      element("td.quality"),
    );
    entry.pick = name;
    row.onclick = () => this.pick(entry);
    fill(row, entry);
    return row;
  }

  pick(entry) {
    this.chosen = entry;
    this.lastChosen = entry.name;
    this.chart();
  }

  live({ signal, value, time, quality }) {
    const touched = new Set();
    for (let i = 0; i < signal.length; i++) {
      const found = this.rows?.get(signal[i]);
      if (!found) continue;
      const { entry, row } = found;
      const at = entry.signals.findIndex((one) => one.id === signal[i]);
      if (time[i] === null) continue;
      const fresh = entry.time !== time[i];
      entry.values[at] = value[i];
      entry.value = entry.values.length > 1 ? [...entry.values] : value[i];
      entry.time = time[i];
      entry.quality = quality[i] >= 192 ? "GOOD" : quality[i] >= 64 ? "UNCERTAIN" : "BAD";
      entry.stale = entry.stale && !fresh;
      touched.add(found);
      if (this.trend && entry === this.chosen && (typeof value[i] === "number") === !this.texts)
        this.trend.add(signal[i], Date.parse(time[i]), value[i], quality[i]);
      row.dataset.fresh = "";
    }
    for (const { row, entry } of touched) fill(row, entry);
  }

  refreshAges() {
    if (!this.rows || !this.node) return;
    for (const { entry, row } of this.rows.values()) setText(row.querySelector(".age"), entry.time ? ageText(entry.time) : "never");
  }

  // The trend

  trendBox() {
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": "Trend" });
    this.tip = element("p.tip", { role: "status", hidden: true });
    this.title = element("h3");
    this.trend = new Trend(canvas, this.tip);
    const buttons = Object.keys(SPANS).map((name) =>
      element("button", { type: "button", "aria-pressed": String(name === this.span), onclick: () => this.pickSpan(name) }, name),
    );
    this.spans = buttons;
    const head = element("div.trend-head", {}, this.title, element("div.spans", { role: "group", "aria-label": "Span" }, buttons));
    return element("section.trend", { "aria-label": "Trend" }, head, element("div.plot", {}, canvas, this.tip));
  }

  pickSpan(name, byReader = true) {
    this.span = name;
    this.picked ||= byReader;
    this.spans.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === name)));
    this.chart();
  }

  async chart() {
    const { chosen: entry, trend, asked } = this;
    if (!entry || !trend || !this.node) return undefined;
    for (const { pick } of this.entries) pick.setAttribute("aria-pressed", String(pick === entry.pick));
    for (const { row, entry: one } of this.rows.values()) row.classList.toggle("chosen", one === entry);
    this.title.replaceChildren(plain(entry.name), entry.unit ? element("span.unit", {}, ` ${unitText(entry.unit)}`) : "");
    this.texts = entry.signals.some((signal) => signal.labels.length);
    const shown = entry.signals.slice(0, MOST_SERIES);
    const span = SPANS[this.span];
    const from = new Date(Date.now() - span).toISOString();
    const fields = `history(from: $from, points: ${POINTS}) { time value low high quality }`;
    const query = `query Trend($from: Time) { ${shown.map((one, i) => `s${i}: signal(id: ${JSON.stringify(one.id)}) { ${fields} }`).join(" ")} }`;
    const answer = await ask(query, { from }).catch(() => null);
    if (this.asked !== asked || this.chosen !== entry || this.trend !== trend || SPANS[this.span] !== span) return undefined;
    const begins = Math.min(...shown.map((_, i) => Date.parse(answer?.[`s${i}`]?.history.time[0] ?? "")));
    // A plant that has just begun to speak would be a sliver at the right end.
    if (!this.picked && span > SPANS["5 min"] && Date.now() - begins < SPANS["5 min"]) return this.pickSpan("5 min", false);
    const series = shown.map((one, i) => seriesOf(one, answer?.[`s${i}`]?.history, this.texts, shown.length > 1));
    trend.show(series, span, this.limits(entry));
    return undefined;
  }

  // Surroundings

  componentList() {
    const items = this.node.components.slice(0, 200).map((part) => element("li", {}, healthBadge(healthOf(part), part.health.score), this.link(part), element("span.quiet", {}, plain(part.type))));
    const left = this.node.components.length - items.length;
    return element("section", {}, element("h3", {}, "Contains"), element("ul.parts", {}, items), left > 0 ? element("p.quiet", {}, `and ${left} more`) : null);
  }

  flow() {
    const { fedBy, feedsInto, relationships } = this.node;
    const arrows = (word, list) =>
      list.map(({ node, transferTime }) => element("li", {}, element("span.quiet", {}, word), this.link(node), transferTime === null ? null : element("span.quiet", {}, `${transferTime} s`)));
    const others = relationships
      .filter(({ type }) => type !== "feeds_into")
      .map(({ type, source, target }) => {
        const away = source.id === this.node.id;
        return element("li", {}, element("span.quiet", {}, away ? plain(type) : `${plain(type)}, from`), this.link(away ? target : source));
      });
    const items = [...arrows("fed by", fedBy), ...arrows("feeds into", feedsInto), ...others];
    return items.length ? element("section", {}, element("h3", {}, "Relationships"), element("ul.parts", {}, items)) : "";
  }
}

// Of what one rule found on one signal only the worst is told, as in the arithmetic of health; the worst stands first.
function foremost(anomalies) {
  const rank = (anomaly) => (anomaly.severity === "critical" ? 0 : 1);
  const worst = new Map();
  for (const anomaly of [...anomalies].sort((a, b) => rank(a) - rank(b))) {
    const about = `${anomaly.rule} ${anomaly.signal?.id}`;
    if (!worst.has(about)) worst.set(about, anomaly);
  }
  return [...worst.values()];
}

// A component shows its state; a sensor and a line show signals of their own.
function entries(node) {
  const own = node.signals.filter((signal) => signal.name === "health" || !node.state.some((entry) => entry.signals.some((one) => one.id === signal.id)));
  const single = own.map((signal) => ({ ...signal, signals: [signal] }));
  const found = [...node.state, ...single].map((entry) => ({ ...entry, values: entry.signals.map((signal) => signal.value) }));
  return joined(found, node);
}

// The joints of a sensor are one list on its component; on the sensor itself they are shown as one list too.
function joined(found, node) {
  if (node.level !== "SENSOR") return found;
  if (found.length < 2) return found.map((entry) => ({ ...entry, name: node.name }));
  const signals = found.flatMap((entry) => entry.signals);
  const times = signals.map((signal) => signal.time).filter(Boolean).sort();
  const values = signals.map((signal) => signal.value);
  return [{ ...found[0], name: node.name, signals, values, value: values, time: times[times.length - 1] ?? null }];
}

const first = (value) => (Array.isArray(value) ? value[0] : value);

function fill(row, entry) {
  const [number, unit] = row.querySelectorAll(".number, .unit");
  setText(number, valueText(entry.value));
  setText(unit, typeof first(entry.value) === "number" ? unitText(entry.unit) : "");
  const age = row.querySelector(".age");
  setText(age, entry.time ? ageText(entry.time) : "never");
  if (entry.time) age.title = `${fullText(entry.time)} (${entry.time})`;
  const quality = row.querySelector(".quality");
  const word = entry.stale ? "stale" : (entry.quality ?? "").toLowerCase();
  quality.dataset.quality = word;
  setText(quality, word || "–");
}

function seriesOf(signal, history, texts, several) {
  const columns = history ?? { time: [], value: [], low: [], high: [], quality: [] };
  return {
    id: signal.id,
    name: several ? signal.name.replace(/^value/, "") : plain(signal.name === "value" ? signal.id.split(".").pop() : signal.name),
    unit: signal.unit,
    stepped: signal.stepped || texts,
    texts,
    ...columns,
    time: columns.time.map((time) => Date.parse(time)),
  };
}

const HIDDEN = new Set(["joints"]);

function propertyList({ properties, key, origin }) {
  const rows = flat(properties).filter(([name]) => !HIDDEN.has(name));
  rows.push(["key", String(key)], ["origin", origin.toLowerCase()]);
  const list = rows.map(([name, value]) => element("div", {}, element("dt", {}, plain(name)), element("dd", {}, value)));
  return element("section", {}, element("h3", {}, "Properties"), element("dl.properties", {}, list));
}

// `parameters: {length: 50}` reads as `length`; deeper things keep their path.
function flat(object, path = "") {
  return Object.entries(object).flatMap(([name, value]) => {
    const full = path && path !== "parameters" ? `${path}.${name}` : name;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flat(value, full);
    return [[full, Array.isArray(value) ? value.map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join(", ") : String(value)]];
  });
}
