// The page: loads the plant, draws it, follows what changes.

import { element, HEALTH, setText } from "./element.js";
import { emptyPage } from "./empty.js";
import { EventFeed } from "./event_feed.js";
import { GraphView } from "./graph_view.js";
import { ask, Subscriptions } from "./graphql_client.js";
import { signedIn } from "./login.js";
import { NodePanel } from "./node_panel.js";
import { OverviewPanel } from "./overview_panel.js";
import { Plant } from "./plant.js";
import { SearchBox } from "./search_box.js";

const LIVE = `subscription Live($signals: [ID!]) { state(signals: $signals, maxHz: 5) { columns { signal value } } }`;
const SERVICE = "{ service { version nodes signals readings trouble historyTrouble } }";
const LAST_EVENT = "{ events(newestFirst: true, first: 1) { seq } }";
const FIGURES_EVERY = 2000;
const SETTLE = 120; // ms: what changes together is asked for together
const AGAIN = 2000;

const $ = (id) => document.getElementById(id);
const CONNECTION = { connecting: "Connecting", live: "Live", offline: "Reconnecting" };

let selected = null;
let stopLive = null;
let onCards = new Map();
let wasLost = false;
const plant = new Plant();

const subscriptions = new Subscriptions((state, failures) => {
  const pill = $("connection");
  pill.dataset.state = state === "connecting" && failures ? "offline" : state;
  setText(pill, CONNECTION[pill.dataset.state]);
  // What is shown is how it was: nobody should take it for how it is.
  document.body.classList.toggle("offline", pill.dataset.state === "offline");
  // Whatever was missed is asked for again; the log of events resumes by itself.
  if (state === "live" && wasLost) reload();
  wasLost = state !== "live" && failures > 0;
});

const view = new GraphView(
  { canvas: $("canvas"), drawing: $("drawing"), cards: $("cards"), notice: $("notice") },
  { onSelect: select, onOpen: followDrawn },
);
const overview = new OverviewPanel($("side"), { onSelect: select });
const panel = new NodePanel($("side"), {
  subscriptions,
  onSelect: select,
  onClose: () => select(null),
  onToggle: (id) => {
    view.toggle(id, !view.open.has(id));
    select(id);
  },
});
const feed = new EventFeed($("feed"), $("feed-count"), { subscriptions, onSelect: select, onEvent: happened });
new SearchBox({ form: $("search"), input: $("search-text"), list: $("search-results") }, { onSelect: select });

// Choosing

function select(id) {
  selected = id;
  history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname);
  const node = plant.nodes.get(id);
  const drawn = node ? id : componentOf(id);
  if (drawn) view.find(drawn);
  view.select(drawn);
  if (!id) {
    panel.hide();
    overview.show(plant);
    return;
  }
  overview.hide();
  const group = node && plant.groups.includes(node) && node.parts.length;
  panel.show(id, { opened: group ? view.open.has(id) : undefined });
}

// A sensor has no card of its own; its component has.
function componentOf(id) {
  let at = id;
  while (at && !plant.nodes.has(at)) at = at.includes(".") ? at.slice(0, at.lastIndexOf(".")) : null;
  return at;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected && !event.target.closest("input")) select(null);
});
addEventListener("hashchange", () => select(decodeURIComponent(location.hash.slice(1)) || null));

// Following what is drawn

async function followDrawn() {
  const drawn = view.drawn.map((id) => plant.nodes.get(id)).filter(Boolean);
  const fresh = drawn.filter((node) => node.level === "COMPONENT" && !node.headlines.length);
  await plant.loadHeadlines(fresh.map((node) => node.id));
  onCards = new Map();
  for (const node of drawn) {
    if (node.healthSignal) onCards.set(node.healthSignal, { node });
    for (const headline of node.headlines)
      headline.signals.forEach((signal, at) => onCards.set(signal, { node, headline, at }));
    view.paint(node);
  }
  stopLive?.();
  const signals = [...onCards.keys()];
  stopLive = signals.length ? subscriptions.follow(LIVE, () => ({ signals }), ({ state }) => live(state.columns), () => setTimeout(reload, AGAIN)) : null;
}

function live({ signal, value }) {
  const touched = new Set();
  for (let i = 0; i < signal.length; i++) {
    const found = onCards.get(signal[i]);
    if (!found) continue;
    const { node, headline, at } = found;
    if (!headline) {
      if (node.health.score !== value[i]) healthChanged();
    } else if (headline.signals.length > 1) {
      headline.value = [...(Array.isArray(headline.value) ? headline.value : headline.signals.map(() => null))];
      headline.value[at] = value[i];
    } else {
      headline.value = value[i];
    }
    if (headline) touched.add(node);
  }
  for (const node of touched) view.paintValues(node);
}

// What happened

function happened(event) {
  if (event.kind === "structure") reload();
  else healthChanged();
}

const healthChanged = settled(async () => {
  const places = plant.groups.map((group) => group.id);
  const ids = [...new Set([...view.drawn, ...places])].filter((id) => plant.nodes.has(id));
  for (const id of await plant.refreshHealth(ids)) view.paint(plant.nodes.get(id));
  showLegend();
  overview.refresh();
  panel.refresh();
});

const reload = settled(async () => {
  await plant.load();
  showEmpty();
  const before = view.drawn.length;
  view.show(plant, { keepView: before > 0 && view.touched });
  if (!before) view.fit();
  await followDrawn();
  showLegend();
  if (selected) {
    view.select(plant.nodes.has(selected) ? selected : componentOf(selected));
    panel.refresh();
  } else {
    overview.show(plant);
  }
});

/** Runs it a moment later, once for all calls until then, and never twice at once. */
function settled(work) {
  let waiting = null;
  let running = Promise.resolve();
  return () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      running = running.then(work).catch((error) => console.warn(error.message));
    }, SETTLE);
  };
}

// Around the graph

function showLegend() {
  const counts = plant.counts();
  $("legend").replaceChildren(
    ...HEALTH.map((health) => element("li", { data: { health } }, element("i", { "aria-hidden": "true" }), `${counts[health]} ${health}`)),
  );
}

function showEmpty() {
  const empty = !plant.groups.length;
  $("empty").hidden = !empty;
  if (empty && !$("empty").children.length) $("empty").append(...emptyPage());
  setText($("plant-name"), plant.name);
  document.title = plant.name ? `${plant.name} – IoTSense` : "IoTSense";
}

let before = null;

async function showFigures() {
  const { service } = await ask(SERVICE);
  const now = performance.now();
  const rate = before ? ((service.readings - before.readings) * 1000) / (now - before.now) : 0;
  before = { readings: service.readings, now };
  const figures = { nodes: service.nodes, signals: service.signals, "readings/s": Math.round(rate) };
  $("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => element("div", {}, element("dd", {}, value.toLocaleString("en")), element("dt", {}, name))),
  );
  const trouble = service.trouble ?? service.historyTrouble;
  document.body.classList.toggle("trouble", Boolean(trouble));
  $("figures").title = trouble ?? `IoTSense ${service.version}`;
}

$("fit").onclick = () => view.fit();
$("zoom-in").onclick = () => view.zoom(1.3);
$("zoom-out").onclick = () => view.zoom(1 / 1.3);

async function start() {
  const [last] = (await ask(LAST_EVENT)).events;
  await plant.load();
  showEmpty();
  view.show(plant);
  showLegend();
  followDrawn();
  select(decodeURIComponent(location.hash.slice(1)) || null);
  await feed.start(last?.seq ?? 0);
  // Not every key may see the service's figures; the page is whole without them.
  const figures = () => document.hidden || showFigures().catch(() => null);
  setInterval(figures, FIGURES_EVERY);
  figures();
}

signedIn().then(start).catch((error) => {
  console.warn(error.message);
  setTimeout(() => location.reload(), 3000);
});
