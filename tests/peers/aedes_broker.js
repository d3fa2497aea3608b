// An MQTT 3.1.1 broker by aedes on the port MQTT_PORT of this machine; it keeps sessions in memory.
const net = require("net");

import(require.resolve("aedes")).then(async ({ Aedes }) => {
  const broker = await Aedes.createBroker({ maxClientsIdLength: 200 });
  net.createServer(broker.handle).listen(Number(process.env.MQTT_PORT), "127.0.0.1");
});
