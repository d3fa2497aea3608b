// An edge node by sparkplug-client (Cirrus Link) at the broker of MQTT_PORT: group `plant`, node `edge`. BIRTH (JSON) has
// the metrics of its birth certificate, and of its devices by name: {"node": [...], "devices": {"motor": [...]}}.
// Commands on standard input, a line of JSON each: {"data": [metrics]}, {"device": "motor", "data": [metrics]},
// {"death": "motor"}, {"birth": "motor"}, {"skip": 1} (numbers left out), {"stop": true} (with a farewell).
// What it is told is printed, a line of JSON each: {"rebirth": true}, {"command": [metrics], "device": "motor"}.
const readline = require("readline");
const sparkplug = require("sparkplug-client");
const birth = JSON.parse(process.env.BIRTH);
const tell = (told) => console.log(JSON.stringify(told, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
const client = sparkplug.newClient({
  serverUrl: `mqtt://127.0.0.1:${process.env.MQTT_PORT}`, username: "", password: "", groupId: "plant", edgeNode: "edge",
  clientId: "edge", version: "spBv1.0", publishDeath: true, keepalive: 5,
});
const payload = (metrics) => ({ timestamp: Date.now(), metrics });
const device = (name) => client.publishDeviceBirth(name, payload(birth.devices[name]), { compress: name === "compressed" });

client.on("birth", () => {
  client.publishNodeBirth(payload([...birth.node]));
  Object.keys(birth.devices || {}).forEach(device);
  tell({ born: true });
});
client.on("ncmd", (command) => {
  if (command.metrics.some((metric) => metric.name === "Node Control/Rebirth")) {
    tell({ rebirth: true });
    client.emit("birth");
  } else tell({ command: command.metrics });
});
client.on("dcmd", (name, command) => {
  tell({ command: command.metrics, device: name });
  client.publishDeviceData(name, payload(command.metrics.map(({ name, type, value }) => ({ name, type, value }))));
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.skip) client.seq = (client.seq + told.skip) % 256;
  else if (told.death) client.publishDeviceDeath(told.death, payload([]));
  else if (told.birth) device(told.birth);
  else if (told.stop) client.stop();
  else if (told.device) client.publishDeviceData(told.device, payload(told.data));
  else client.publishNodeData(payload(told.data));
}).on("close", () => process.exit(0));
