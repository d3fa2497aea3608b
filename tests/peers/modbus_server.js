// A Modbus device by modbus-serial, over TCP (MODBUS_PORT) or a serial line (MODBUS_SERIAL). Each unit has its own
// 65,536 registers and coils. Commands on standard input, a line of JSON each, are answered by a line:
// {"set": {"unit": 1, "table": "holding", "first": 0, "values": [1, 2]}}, {"refuse": [{"unit", "table", "first",
// "last", "code"}]}, {"most": 40} (registers in one answer), {"deaf": [2]} (units that do not answer),
// {"delay": 50} [ms], {"reset": true} (as it began), {"counts": true} (requests so far, and the last ones), {"get": {"unit", "table", "first", "count"}}.
const modbus = require("modbus-serial");
const readline = require("readline");
const tables = {};
let refused = [], deaf = [], most = 125, delay = 0, requests = [], count = 0, busy = 0, overlaps = 0;

function table(unit, name) {
  const key = `${unit} ${name}`;
  return (tables[key] = tables[key] || new Uint16Array(65536));
}

function refusal(unit, name, first, last) {
  const found = refused.find((r) => (r.unit === undefined || r.unit === unit) && r.table === name && r.first <= last && first <= r.last);
  return found && { modbusErrorCode: found.code };
}

function answer(unit, name, first, size, give, callback) {
  count += 1;
  requests.push([unit, name, first, size]);
  requests = requests.slice(-1000);
  if (deaf.includes(unit)) return;
  overlaps += busy > 0 ? 1 : 0;
  busy += 1;
  const error = size > most ? { modbusErrorCode: 3 } : refusal(unit, name, first, first + size - 1);
  const finish = () => { busy -= 1; callback(error || null, error ? undefined : give()); };
  if (delay) setTimeout(finish, delay); else finish();
}

const read = (name) => (address, unit, callback) => answer(unit, name, address, 1, () => table(unit, name)[address], callback);
const reads = (name) => (address, length, unit, callback) =>
  answer(unit, name, address, length, () => Array.from(table(unit, name).subarray(address, address + length)), callback);
const write = (name) => (address, value, unit, callback) =>
  answer(unit, name, address, 1, () => { table(unit, name)[address] = Number(value); }, callback);

const vector = {
  getMultipleHoldingRegisters: reads("holding"),
  getMultipleInputRegisters: reads("input"),
  getHoldingRegister: read("holding"),
  getInputRegister: read("input"),
  getCoil: read("coil"),
  getDiscreteInput: read("discrete"),
  setRegister: write("holding"),
  setCoil: write("coil"),
  readDeviceIdentification: () => ({ 0x00: "Acme", 0x01: "MX-7", 0x02: "v2.1" }),
};

const units = (process.env.MODBUS_UNITS || "255").split(",").map(Number);
const server = process.env.MODBUS_SERIAL
  ? new modbus.ServerSerial(vector, {
      port: process.env.MODBUS_SERIAL, debug: false, unitID: units[0], interval: 5,
      openOptions: { path: process.env.MODBUS_SERIAL, baudRate: 19200, lock: false },
      portOptions: { lock: false },
    })
  : new modbus.ServerTCP(vector, { host: "127.0.0.1", port: Number(process.env.MODBUS_PORT), unitID: 255 });
server.on("error", () => {});
server.on("socketError", () => {});
server.on("initialized", () => console.log("ready"));

const commands = {
  set: ({ unit, table: name, first, values }) => table(unit, name).set(values, first),
  get: ({ unit, table: name, first, count: size }) => Array.from(table(unit, name).subarray(first, first + size)),
  refuse: (ranges) => { refused = ranges; },
  deaf: (numbers) => { deaf = numbers; },
  most: (number) => { most = number; },
  delay: (milliseconds) => { delay = milliseconds; },
  reset: () => {
    Object.values(tables).forEach((each) => each.fill(0));
    refused = []; deaf = []; most = 125; delay = 0; requests = []; count = 0; overlaps = 0;
  },
  counts: () => { const told = { count, overlaps, requests }; requests = []; count = 0; return told; },
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  const result = commands[name](argument);
  console.log(JSON.stringify(result === undefined ? null : result));
});
