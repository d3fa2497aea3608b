// A BACnet/IP device by @bacnet-js/client on 127.0.0.1:BACNET_PORT, device instance BACNET_DEVICE. It is its own BBMD.
// Commands on standard input, a line of JSON each, are answered by a line:
// {"add": {"0,1": {"name", "value", "tag", "units", "low", "high", "states", "flags", "reliability", "default"}}},
// {"set": {"0,1": 5}}, {"flags": {"0,1": [0, 0, 0, 1]}}, {"reliability": {"0,1": 4}}, {"deaf": true},
// {"multiple": false} (ReadPropertyMultiple is unknown to it), {"most": 3} (objects in one answer),
// {"cov": false} (subscriptions are refused), {"forget": true} (subscriptions are lost), {"get": "1,1"},
// {"counts": true} (requests so far by service), {"pending": true} (notifications that nobody has
// confirmed yet), {"reset": true} (as it began).
const Bacnet = require("@bacnet-js/client");
const readline = require("readline");
const Client = Bacnet.default || Bacnet;
const PORT = Number(process.env.BACNET_PORT), DEVICE = Number(process.env.BACNET_DEVICE || 1234);
const NULL = 0, UNSIGNED = 2, REAL = 4, TEXT = 7, BITS = 8, ENUM = 9, OBJECT = 12;
const client = new Client({ port: PORT, interface: process.env.BACNET_INTERFACE || "127.0.0.1", apduTimeout: 3000 });
const objects = new Map(), subscriptions = new Map();
let deaf = false, multiple = true, most = 1000, cov = true, counts = {}, pending = 0;

function add(key, { name, value = 0, tag = REAL, units, low, high, states, active, inactive, description, ...more }) {
  const [type, instance] = key.split(",").map(Number);
  const properties = new Map([[75, [[OBJECT, { type, instance }]]], [77, [[TEXT, name]]], [79, [[ENUM, type]]], [81, [[1, false]]]]);
  const optional = [[117, ENUM, units], [69, tag, low], [65, tag, high], [28, TEXT, description], [4, TEXT, active], [46, TEXT, inactive]];
  for (const [id, kind, given] of optional) if (given !== undefined) properties.set(id, [[kind, given]]);
  if (states) properties.set(110, states.map((text) => [TEXT, text]));
  objects.set(key, { type, instance, tag, value, properties, flags: [0, 0, 0, 0], reliability: 0, priorities: {}, ...more });
}

function property(key, id) {
  const object = objects.get(key);
  if (!object) return { class: 1, code: 31 };
  if (id === 85) return [[object.tag, object.value]];
  if (id === 111) return [[BITS, { bitsUsed: 4, value: [object.flags.reduce((sum, bit, place) => sum + (bit << place), 0)] }]];
  if (id === 103 && object.reliability !== null) return [[ENUM, object.reliability]];
  if (id === 87 && object.default !== undefined)
    return Array.from({ length: 16 }, (_, n) => (n + 1 in object.priorities ? [object.tag, object.priorities[n + 1]] : [NULL, null]));
  if (id === 76 && object.type === 8) return [...objects.values()].map((o) => [OBJECT, { type: o.type, instance: o.instance }]);
  return object.properties.get(id) || { class: 2, code: 32 };
}

const typed = (values) => values.map(([type, value]) => ({ type, value }));
const count = (service) => { counts[service] = (counts[service] || 0) + 1; };

function raw(header, bytes) {
  const message = Buffer.from([0x81, 0x0a, 0, 6 + bytes.length, 1, 0, ...bytes]);
  client._transport.send(message, message.length, header.sender.address);
}

const wildcard = (object) => (object.type === 8 && object.instance === 4194303 ? DEVICE : object.instance);
const keyOf = (object) => `${object.type},${wildcard(object)}`;

client.on("whoIs", ({ header, payload }) => {
  count("whoIs");
  if (deaf || (payload.lowLimit !== undefined && (DEVICE < payload.lowLimit || DEVICE > payload.highLimit))) return;
  client.iAmResponse({ address: header.sender.address }, DEVICE, 3, 0);
});

client.on("registerForeignDevice", ({ header }) => { count("register"); client.resultResponse({ address: header.sender.address }, 0); });

client.on("readProperty", ({ header, invokeId, service, payload }) => {
  count("readProperty");
  if (deaf) return;
  const { id, index } = payload.property;
  let found = property(keyOf(payload.objectId), id);
  if (Array.isArray(found) && index === 0) found = [[UNSIGNED, found.length]];
  else if (Array.isArray(found) && index > 0 && index < 4294967295) found = [found[index - 1]];
  if (!Array.isArray(found)) return client.errorResponse(header.sender, service, invokeId, found.class, found.code);
  // What does not fit into one answer would have to be sent in segments.
  if (id === 76 && index === 4294967295 && found.length > most) return raw(header, [0x71, invokeId, 4]);
  client.readPropertyResponse(header.sender, invokeId, payload.objectId, payload.property, typed(found));
});

client.on("readPropertyMultiple", ({ header, invokeId, payload }) => {
  count("readPropertyMultiple");
  if (deaf) return;
  if (!multiple) return raw(header, [0x60, invokeId, 9]);
  if (payload.properties.length > most) return raw(header, [0x71, invokeId, 4]);
  const values = payload.properties.map(({ objectId, properties }) => ({
    objectId,
    values: properties.map(({ id, index }) => {
      const found = property(keyOf(objectId), id);
      const value = Array.isArray(found) ? typed(found) : [{ value: { type: "BacnetError", errorClass: found.class, errorCode: found.code } }];
      return { property: { id, index }, value };
    }),
  }));
  client.readPropertyMultipleResponse(header.sender, invokeId, values);
});

client.on("writeProperty", ({ header, invokeId, service, payload }) => {
  count("writeProperty");
  if (deaf) return;
  const object = objects.get(keyOf(payload.objectId));
  const { value: [{ type, value }], property: { id }, priority } = payload.value;
  if (!object) return client.errorResponse(header.sender, service, invokeId, 1, 31);
  if (id !== 85 || object.locked) return client.errorResponse(header.sender, service, invokeId, 2, 40);
  if (object.default === undefined) object.value = value;
  else {
    if (type === NULL) delete object.priorities[priority]; else object.priorities[priority] = value;
    const first = Object.keys(object.priorities).map(Number).sort((a, b) => a - b)[0];
    object.value = first === undefined ? object.default : object.priorities[first];
  }
  client.simpleAckResponse(header.sender, service, invokeId);
  notify(keyOf(payload.objectId));
});

client.on("subscribeCov", ({ header, invokeId, service, payload }) => {
  count("subscribeCov");
  if (deaf) return;
  const key = keyOf(payload.monitoredObjectId), id = `${header.sender.address} ${payload.subscriberProcessId} ${key}`;
  if (!cov) return client.errorResponse(header.sender, service, invokeId, 5, 45);
  if (!objects.has(key)) return client.errorResponse(header.sender, service, invokeId, 1, 31);
  if (payload.cancellationRequest) subscriptions.delete(id);
  else {
    const until = payload.lifetime ? Date.now() + payload.lifetime * 1000 : Infinity;
    subscriptions.set(id, { key, until, process: payload.subscriberProcessId, address: header.sender.address, confirmed: payload.issueConfirmedNotifications });
  }
  client.simpleAckResponse(header.sender, service, invokeId);
  if (!payload.cancellationRequest) notify(key);
});

function notify(key) {
  const object = objects.get(key);
  if (deaf || !object) return;
  const monitored = { type: object.type, instance: object.instance };
  const values = [85, 111].map((id) => ({ property: { id, index: 4294967295 }, value: typed(property(key, id)) }));
  for (const [id, subscription] of subscriptions) {
    if (subscription.until < Date.now()) subscriptions.delete(id);
    else if (subscription.key === key) {
      count("notification");
      const to = { address: subscription.address };
      if (subscription.confirmed) {
        pending += 1;
        const done = () => { pending -= 1; };
        client.confirmedCOVNotification(to, monitored, subscription.process, DEVICE, 60, values).then(done, done);
      }
      else client.unconfirmedCOVNotification(to, subscription.process, DEVICE, monitored, 60, values);
    }
  }
}

const each = (change) => (given) => Object.entries(given).forEach(([key, value]) => { change(objects.get(key), value); notify(key); });
const commands = {
  add: (given) => Object.entries(given).forEach(([key, value]) => add(key, value)),
  set: each((object, value) => { object.value = value; }),
  flags: each((object, value) => { object.flags = value; }),
  reliability: each((object, value) => { object.reliability = value; }),
  get: (key) => ({ value: objects.get(key).value, priorities: objects.get(key).priorities }),
  deaf: (value) => { deaf = value; },
  multiple: (value) => { multiple = value; },
  most: (value) => { most = value; },
  cov: (value) => { cov = value; },
  forget: () => subscriptions.clear(),
  pending: () => pending,
  reset: begin,
  counts: () => { const told = counts; counts = {}; return told; },
};

function begin() {
  objects.clear();
  subscriptions.clear();
  deaf = false; multiple = true; most = 1000; cov = true; counts = {}; pending = 0;
  add(`8,${DEVICE}`, { name: "Air handling unit 7", tag: ENUM, description: "on the roof" });
  objects.get(`8,${DEVICE}`).properties.set(70, [[TEXT, "AHU-3000"]]).set(121, [[TEXT, "Acme Controls"]]).set(107, [[ENUM, 3]]).set(62, [[UNSIGNED, 1476]]);
}

begin();
client.on("error", () => {});
client.on("listening", () => console.log("ready"));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  const result = commands[name](argument);
  console.log(JSON.stringify(result === undefined ? null : result));
});
