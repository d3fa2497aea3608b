// Types of iotsense-stream.js.

/** What of the plant is wanted: everything at and below `nodes`, and `signals`; all of it unless told. */
export interface Wanted {
  nodes?: string[];
  signals?: string[];
  /** Frames a second at most: above 0, up to 60; 20 unless told. */
  maxHz?: number;
  /** `float32` unless told. */
  precision?: "float32" | "float64";
  /** Each reading's own time, too; otherwise `time` is when its frame was made. */
  times?: boolean;
}

export interface Options extends Wanted {
  /** An API key; needed where the service asks for one. */
  key?: string;
  /** For Node before 22: the one of the package ws. */
  WebSocket?: unknown;
}

/** A signal with its latest reading, kept up to date in place. */
export interface Signal {
  readonly index: number;
  readonly id: string;
  readonly node: string;
  readonly name: string;
  readonly role: "measured" | "desired" | "derived" | "simulated";
  readonly unit: string | null;
  readonly type: "number" | "boolean" | "text" | null;
  readonly labels: readonly string[];
  /** Null before the first reading, and where the reading is no finite number. */
  readonly value: number | null;
  /** The label that `value` means. */
  readonly text: string | null;
  /** The OPC quality byte: 192 and above is good. */
  readonly quality: number | null;
  /** ms since the epoch. */
  readonly time: number | null;
}

export interface Frame {
  readonly subscription: number;
  readonly sequence: number;
  readonly timeNs: bigint;
  readonly journal: number;
  readonly snapshot: boolean;
  readonly index: Uint32Array | number[];
  readonly value: Float32Array | Float64Array | (number | null)[];
  readonly times?: BigInt64Array | string[] | null;
  readonly quality: Uint8Array | number[];
}

/** A problem document (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

export type Status = "connecting" | "live" | "closed";

export interface StreamEvents {
  /** Signals that came or changed, and the indexes of those that went. */
  table: { readonly signals: Signal[]; readonly gone: number[]; readonly whole: boolean };
  /** Readings; `time` is the service's, in ms since the epoch. An empty one says that it is alive. */
  state: { readonly changed: Signal[]; readonly time: number; readonly snapshot: boolean; readonly frame: Frame };
  status: Status;
  problem: Problem;
}

export function decodeFrame(buffer: ArrayBuffer): Frame;

export class StateStream extends EventTarget {
  /** url: that of the service (`http://host:8080`), or of its stream. */
  constructor(url: string | URL, options?: Options);
  readonly signals: ReadonlyMap<string, Signal>;
  readonly status: Status;
  readonly clockOffset: number;
  get(id: string): Signal | undefined;
  subscribe(wanted?: Wanted): void;
  close(): void;
  addEventListener<K extends keyof StreamEvents>(
    type: K,
    listener: (event: Event & { readonly detail: StreamEvents[K] }) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
