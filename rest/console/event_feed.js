// The log of events: the last ones at once, then each new one; after a lost connection it goes on where it stopped.

import { ask } from "./graphql_client.js";
import { element, setText } from "./element.js";
import { fullText, plain, spanText, timeText, withUnit } from "./format.js";

const FIELDS = "seq time until recorded kind data retracts node { id name }";
const LATEST = `{ events(newestFirst: true, first: 60) { ${FIELDS} } }`;
const FOLLOW = `subscription Events($after: Long) { events(after: $after) { ${FIELDS} } }`;
const SHOWN = 200;

export class EventFeed {
  constructor(list, count, { subscriptions, onSelect, onEvent }) {
    Object.assign(this, { list, count, subscriptions, onSelect, onEvent });
  }

  /** Shows the last events and follows the log. Those behind the number `loaded` are news for whoever loaded the plant. */
  async start(loaded) {
    const { events } = await ask(LATEST);
    this.seq = loaded;
    for (const event of events.reverse()) {
      this.seq = Math.max(this.seq, event.seq);
      this.add(event);
      if (event.seq > loaded) this.onEvent(event);
    }
    this.note();
    this.subscriptions.follow(
      FOLLOW,
      () => ({ after: this.seq }),
      ({ events: event }) => {
        if (event.seq <= this.seq) return;
        this.seq = event.seq;
        this.add(event, true);
        this.note();
        this.onEvent(event);
      },
    );
  }

  note() {
    setText(this.count, this.seq ? this.seq.toLocaleString("en") : "none yet");
  }

  add(event, fresh = false) {
    const { severity, text } = told(event);
    const where = event.node
      ? element("a", { href: `#${encodeURIComponent(event.node.id)}`, onclick: (click) => this.go(click, event.node.id) }, event.node.name)
      : null;
    const moment = event.until ?? event.time;
    this.list.prepend(
      element(
        "li",
        { data: { severity, seq: String(event.seq) }, class: fresh ? "fresh" : null },
        element("time", { datetime: moment, title: fullText(moment) }, timeText(moment)),
        element("span.mark", { "aria-hidden": "true" }),
        element("span.what", {}, where, where ? " " : null, text),
        element("span.number", {}, `#${event.seq}`),
      ),
    );
    while (this.list.children.length > SHOWN) this.list.lastChild.remove();
  }

  go(click, id) {
    click.preventDefault();
    this.onSelect(id);
  }
}

/** An event as a sentence without its subject. */
function told({ kind, data, time, until, retracts }) {
  const span = until ? spanText((Date.parse(until) - Date.parse(time)) / 1000) : "";
  const signal = (data.signal_id ?? "").split(".").slice(-1)[0];
  if (kind === "anomaly") {
    if (retracts) return { severity: "cleared", text: `${plain(data.rule)} was taken back` };
    if (until) return { severity: "cleared", text: `${plain(data.rule)} (${data.severity}) cleared after ${span}` };
    const what = data.metric === "rate_of_change" ? "rate of " : "";
    return {
      severity: data.severity,
      text: `${plain(data.rule)}, ${data.severity}: ${what}${signal} ${withUnit(data.value, data.unit)} ${data.operator} ${withUnit(data.threshold, data.unit)}`,
    };
  }
  if (kind === "stale")
    return until ? { severity: "cleared", text: `${signal} speaks again after ${span}` } : { severity: "stale", text: `${signal} fell silent` };
  if (kind === "structure") return { severity: "structure", text: `Revision ${data.revision} by ${data.author}: ${revision(data)}` };
  if (kind === "rule") return { severity: "structure", text: `Rule ${plain(data.rule)} (${data.version}) ${data.begins ? "applies" : "applies no more"}` };
  return { severity: "other", text: plain(kind) + (span ? ` for ${span}` : "") };
}

function revision(data) {
  const parts = ["added", "changed", "removed"].filter((word) => data[`${word}_count`]).map((word) => `${data[`${word}_count`]} ${word}`);
  if (parts.length) return `nodes ${parts.join(", ")}`;
  if (data.definition) return "definition changed";
  return data.relationships ? "relationships changed" : "signals changed";
}
