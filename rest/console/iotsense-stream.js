// IoTSense's state stream for front ends: an ES module without dependencies, for browsers and Node. Take it along, or
// import it from the service (/console/iotsense-stream.js). Types: iotsense-stream.d.ts. The protocol: docs/stream.md.

const HEADER = 32; // bytes
const STATE = 1;
const VERSION = 1;
const FLOAT64 = 2;
const TIMES = 4;
const SNAPSHOT = 1;
const FIRST_WAIT = 500; // ms before the first attempt to come back; doubles
const LONGEST_WAIT = 15000;
const SILENCE = 25000; // the service speaks every 10 s
const REFUSED = 4401;

/** A binary frame of readings; the columns are views into it, not copies. */
export function decodeFrame(buffer) {
  const head = new DataView(buffer);
  if (head.byteLength < HEADER || head.getUint8(0) !== STATE || head.getUint8(1) !== VERSION) {
    throw new Error("not a frame of readings that this module knows");
  }
  const flags = head.getUint16(2, true);
  const count = head.getUint32(4, true);
  let at = HEADER;
  const column = (Type) => {
    const found = new Type(buffer, at, count);
    at += Math.ceil((count * Type.BYTES_PER_ELEMENT) / 8) * 8;
    return found;
  };
  const index = column(Uint32Array);
  const value = column(flags & FLOAT64 ? Float64Array : Float32Array);
  const times = flags & TIMES ? column(BigInt64Array) : null;
  return {
    subscription: head.getUint32(8, true),
    sequence: head.getUint32(12, true),
    timeNs: head.getBigInt64(16, true),
    journal: Number(head.getBigInt64(24, true)),
    snapshot: (flags & SNAPSHOT) !== 0,
    index,
    value,
    times,
    quality: new Uint8Array(buffer, at, count),
  };
}

/** The live state of a plant, or of a part of it, kept up to date; it comes back by itself. */
export class StateStream extends EventTarget {
  #url;
  #options;
  #wanted;
  #socket = null;
  #subscription = -1; // while resnapshotting, frames of the former one are let go
  #sequence = 0;
  #wait = FIRST_WAIT;
  #timer = null;
  #silence = null;
  #byIndex = new Map();

  constructor(url, options = {}) {
    super();
    const { key, WebSocket = globalThis.WebSocket, ...wanted } = options;
    if (!WebSocket) throw new TypeError("this Node has no WebSocket; pass one: { WebSocket } from the package ws");
    this.#url = socketUrl(url);
    this.#options = { key, WebSocket };
    this.#wanted = wanted;
    /** All signals by id. */
    this.signals = new Map();
    this.status = "connecting";
    /** The service's clock less this machine's [ms], as far as the last frame tells. */
    this.clockOffset = 0;
    this.#connect();
  }

  /** A signal by its id. */
  get(id) {
    return this.signals.get(id);
  }

  /** Something else is wanted from now on, over the same connection. */
  subscribe(wanted = {}) {
    this.#wanted = wanted;
    this.#subscription = -1;
    this.#say({ type: "subscribe", ...wanted });
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#turn("closed");
  }

  #connect() {
    const { key, WebSocket } = this.#options;
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      if (key) this.#say({ type: "authorize", authorization: `Bearer ${key}` });
      this.subscribe(this.#wanted);
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#listen();
      if (typeof data === "string") this.#heard(JSON.parse(data));
      else this.#readings(decodeFrame(data));
    };
    socket.onerror = () => {}; // a close follows
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(code);
    };
  }

  #lost(code) {
    this.#socket = null;
    clearTimeout(this.#silence);
    if (code === REFUSED) return this.#turn("closed");
    this.#turn("connecting");
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const socket = this.#socket;
      this.#lost(0); // the socket of a machine that is gone takes minutes to say so
      socket?.close();
    }, SILENCE);
  }

  #say(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #heard(message) {
    if (message.type === "table") this.#table(message);
    else if (message.type === "state") this.#readings({ ...message, timeNs: BigInt(message.timeNs) });
    else if (message.type === "error") this.#dispatch("problem", message.problem);
  }

  #table({ subscription, sequence, whole, signals, gone }) {
    if (whole) {
      this.signals.clear();
      this.#byIndex.clear();
      this.#subscription = subscription;
      this.#sequence = sequence;
      this.#wait = FIRST_WAIT;
      this.#turn("live");
    } else if (!this.#follows(subscription, sequence)) return;
    const forget = (index) => this.signals.delete(this.#byIndex.get(index)?.id) && this.#byIndex.delete(index);
    gone.forEach(forget);
    for (const row of signals) {
      const known = this.#byIndex.get(row.index);
      if (known) this.signals.delete(known.id); // it may have another id now
      const signal = Object.assign(known ?? { value: null, text: null, quality: null, time: null }, row);
      this.#byIndex.set(row.index, signal);
      this.signals.set(row.id, signal);
    }
    this.#dispatch("table", { signals: signals.map((row) => this.signals.get(row.id)), gone, whole });
  }

  #readings(frame) {
    if (!this.#follows(frame.subscription, frame.sequence)) return;
    const time = Number(frame.timeNs / 1000n) / 1000;
    this.clockOffset = time - Date.now();
    const changed = [];
    for (let i = 0; i < frame.index.length; i++) {
      const signal = this.#byIndex.get(frame.index[i]);
      if (!signal) continue;
      const value = frame.value[i];
      signal.value = Number.isFinite(value) ? value : null;
      signal.text = signal.value === null ? null : (signal.labels[value] ?? null);
      signal.quality = frame.quality[i];
      signal.time = frame.times ? milliseconds(frame.times[i]) : time;
      changed.push(signal);
    }
    this.#dispatch("state", { changed, time, snapshot: frame.snapshot, frame });
  }

  #follows(subscription, sequence) {
    if (subscription !== this.#subscription) return false;
    const follows = sequence === this.#sequence + 1;
    this.#sequence = sequence;
    if (!follows) {
      this.#subscription = -1;
      this.#say({ type: "resnapshot" });
    }
    return follows;
  }

  #turn(status) {
    if (status === this.status) return;
    this.status = status;
    this.#dispatch("status", status);
  }

  #dispatch(name, detail) {
    this.dispatchEvent(Object.assign(new Event(name), { detail }));
  }
}

function socketUrl(url) {
  const found = new URL(url, globalThis.location?.href);
  found.protocol = found.protocol.replace("http", "ws");
  if (found.pathname === "/") found.pathname = "/api/v1/iotsense/stream";
  return found.href;
}

function milliseconds(time) {
  return typeof time === "bigint" ? Number(time / 1000n) / 1000 : Date.parse(time);
}
