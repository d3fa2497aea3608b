// A front end in Node: says what it hears of the state stream, a line of JSON each; lines of JSON it is given are
// what it subscribes to from then on. Also decodes frames: {"decode": "hex"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const WebSocket = createRequire(process.env.NODE_PATH + "/")("ws");
const { StateStream, decodeFrame } = await import(process.env.MODULE);
const say = (what) => console.log(JSON.stringify(what, (_, value) => (typeof value === "bigint" ? String(value) : value)));

let stream = null;
if (process.env.URL_) {
  stream = new StateStream(process.env.URL_, { WebSocket, ...JSON.parse(process.env.OPTIONS ?? "{}") });
  stream.addEventListener("status", ({ detail }) => say({ status: detail }));
  stream.addEventListener("problem", ({ detail }) => say({ problem: detail }));
  stream.addEventListener("table", ({ detail }) => say({ table: detail.signals.map(({ id }) => id), whole: detail.whole }));
  stream.addEventListener("state", ({ detail }) =>
    say({
      state: Object.fromEntries(detail.changed.map(({ id, value, text, quality }) => [id, { value, text, quality }])),
      snapshot: detail.snapshot,
      offset: Math.abs(stream.clockOffset),
    }),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const { decode, ...wanted } = JSON.parse(line);
  if (decode) {
    const bytes = Uint8Array.from(decode.match(/../g), (digits) => parseInt(digits, 16));
    const frame = decodeFrame(bytes.buffer);
    const columns = ["index", "value", "quality", "times"].map((name) => [name, frame[name] && Array.from(frame[name])]);
    say({ ...frame, ...Object.fromEntries(columns) });
  } else stream.subscribe(wanted);
}
