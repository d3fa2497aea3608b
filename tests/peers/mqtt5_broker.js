// A broker for one client of MQTT 5, by mqtt-packet: it grants what is asked for, and publishes PUBLISHES (JSON), of
// which those after the first on a topic bear its alias only. What the client answers is printed, a line of JSON each.
const net = require("net");
const packets = require("mqtt-packet");
const publishes = JSON.parse(process.env.PUBLISHES);

net.createServer((socket) => {
  const parser = packets.parser({ protocolVersion: 5 });
  const send = (packet) => socket.write(packets.generate(packet, { protocolVersion: 5 }));
  const aliases = {};
  parser.on("packet", (packet) => {
    console.log(JSON.stringify({ cmd: packet.cmd, properties: packet.properties, messageId: packet.messageId }));
    if (packet.cmd === "connect") send({ cmd: "connack", reasonCode: 0, sessionPresent: false });
    if (packet.cmd !== "subscribe") return;
    send({ cmd: "suback", messageId: packet.messageId, granted: packet.subscriptions.map((s) => Number(process.env.REFUSE || s.qos)), reasonCode: 0 });
    if (process.env.LEAVE) send({ cmd: "disconnect", reasonCode: 0x9d, properties: JSON.parse(process.env.LEAVE) });
    publishes.forEach((publish, number) => {
      const known = aliases[publish.topic];
      aliases[publish.topic] = known || publish.alias || Object.keys(aliases).length + 1;
      send({
        cmd: "publish", topic: known || publish.alias ? "" : publish.topic, payload: publish.payload, qos: 1, messageId: number + 1,
        properties: { topicAlias: aliases[publish.topic], ...publish.properties },
      });
    });
  });
  socket.on("data", (data) => parser.parse(data));
  socket.on("error", () => {});
}).listen(Number(process.env.MQTT_PORT), "127.0.0.1", () => console.log("{}"));
