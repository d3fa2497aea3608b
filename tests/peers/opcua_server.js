// An OPC UA server by node-opcua for the tests.
//
//   node opcua_server.js '{"port": 48400, "pki": "DIR", "secured": true, ...}'
//
// Options: port; pki (a folder for certificates); secured (only signed and encrypted connections); accept (trust any
// client); users {name: password}; users_only (no anonymous login); variables {name: {type, value, unit, range, labels,
// array, history, readonly, every [ms], modulo}}; namespaces (URIs that come before ours); lines (how many of Many);
// limits (operationLimits); capabilities (further limits); alarms; device (one of the companion specification DI); machine
// (one of Machinery, and a unit of PackML).
//
// It says "ready" when it listens. Then it takes a JSON object a line: {"set": {name: value}}, {"bad": {name: status}},
// {"get": name}, {"count": true}, {"stop": true}, {"resume": true}, {"reload": true} (the certificates, from their folders);
// and answers each with a line of JSON.
const opcua = require("node-opcua");
const readline = require("readline");
const path = require("path");

const options = JSON.parse(process.argv[2] || "{}");
const { DataType, Variant, VariantArrayType, StatusCodes, MessageSecurityMode: Mode, SecurityPolicy: Policy } = opcua;

function security() {
  if (!options.secured) return { securityModes: [Mode.None], securityPolicies: [Policy.None] };
  return {
    securityModes: [Mode.Sign, Mode.SignAndEncrypt],
    securityPolicies: [Policy.Basic256Sha256, Policy.Aes128_Sha256_RsaOaep, Policy.Aes256_Sha256_RsaPss],
  };
}

const MACHINE_NODESETS = ["di", "ia", "machinery", "packML"];

function nodeset(...names) {
  return names.map((name) => opcua.nodesets[name]);
}

async function main() {
  const pki = options.pki;
  const certificates = new opcua.OPCUACertificateManager({
    rootFolder: path.join(pki, "clients"),
    automaticallyAcceptUnknownCertificate: options.accept !== false,
  });
  const users = new opcua.OPCUACertificateManager({
    rootFolder: path.join(pki, "users"),
    automaticallyAcceptUnknownCertificate: options.accept !== false,
  });
  await certificates.initialize();
  await users.initialize();
  if (options.minimum_sampling) opcua.MonitoredItem.minimumSamplingInterval = options.minimum_sampling;
  const server = new opcua.OPCUAServer({
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    port: options.port,
    ...security(),
    allowAnonymous: !options.users_only,
    serverCertificateManager: certificates,
    userCertificateManager: users,
    serverInfo: { applicationUri: options.uri || "urn:plant:plc" },
    nodeset_filename: nodeset("standard", ...(options.device ? ["di"] : []), ...(options.machine ? MACHINE_NODESETS : [])),
    userManager: {
      isValidUser: (name, password) => (options.users || {})[name] === password,
    },
    serverCapabilities: {
      maxSessions: 20,
      maxBrowseContinuationPoints: 100,
      maxHistoryContinuationPoints: 100,
      operationLimits: options.limits || {},
      ...(options.capabilities || {}),
    },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  for (const uri of options.namespaces || []) space.registerNamespace(uri);
  const namespace = space.registerNamespace("urn:plant");
  const held = {};

  const line = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: "Line", nodeId: "s=Line",
    eventSourceOf: space.rootFolder.objects.server, eventNotifier: 1 });
  const variables = options.variables || {};
  for (const name of Object.keys(variables)) held[name] = addVariable(space, namespace, line, name, variables[name]);
  if (options.lines) addMany(namespace, space.rootFolder.objects, options.lines, options.change_every || 100, held);
  if (options.device) addDevice(space, namespace, held);
  if (options.machine) addMachine(space, namespace, held);
  if (options.alarms) addAlarm(space, namespace, line, held);

  server.on("connectionRefused", () => {});
  await server.start();
  console.log("ready");

  readline.createInterface({ input: process.stdin }).on("line", async (text) => {
    const command = JSON.parse(text);
    if (command.set) for (const name of Object.keys(command.set)) held[name].set(command.set[name]);
    if (command.bad) for (const name of Object.keys(command.bad)) held[name].spoil(command.bad[name]);
    const answer = { done: true };
    if (command.get) answer.value = held[command.get].get();
    if (command.count) Object.assign(answer, counts(held));
    if (command.stop) for (const each of Object.values(held)) if (each.stop) each.stop();
    if (command.resume) for (const each of Object.values(held)) if (each.resume) each.resume();
    if (command.reload) for (const manager of [certificates, users]) await manager.reloadCertificates();
    console.log(JSON.stringify(answer));
  }).on("close", () => process.exit(0));
}

function addVariable(space, namespace, parent, name, wanted) {
  const dataType = wanted.type || "Double";
  const given = {
    browseName: name, nodeId: "s=" + name, dataType,
    minimumSamplingInterval: 0,
    accessLevel: wanted.readonly ? "CurrentRead" : "CurrentRead | CurrentWrite",
    userAccessLevel: wanted.readonly ? "CurrentRead" : "CurrentRead | CurrentWrite",
  };
  const held_as = (value) => (dataType === "DateTime" ? new Date(value) : value);
  const shape = (value) => new Variant({ dataType: DataType[wanted.labels ? "Int32" : dataType], value: held_as(value), arrayType: wanted.array ? VariantArrayType.Array : VariantArrayType.Scalar });
  if (wanted.array) Object.assign(given, { valueRank: 1, arrayDimensions: [0] });
  let variable;
  if (wanted.unit || wanted.range) {
    const [low, high] = wanted.range || [0, 1000];
    const unit = wanted.unit ? opcua.standardUnits[wanted.unit] : undefined;
    variable = namespace.addAnalogDataItem({ componentOf: parent, ...given, engineeringUnitsRange: { low, high },
      engineeringUnits: unit, value: shape(wanted.value || 0) });
  } else if (wanted.labels) {
    variable = namespace.addMultiStateDiscrete({ componentOf: parent, ...given, dataType: undefined, enumStrings: wanted.labels, value: wanted.value || 0 });
  } else {
    variable = namespace.addVariable({ componentOf: parent, ...given, value: shape(wanted.value ?? 0) });
  }
  if (wanted.history) space.installHistoricalDataNode(variable, { maxOnlineValues: 100000 });
  const one = {
    get: () => variable.readValue().value.value,
    set: (value) => variable.setValueFromSource(shape(value)),
    spoil: (status) => variable.setValueFromSource(shape(wanted.array ? [] : 0), StatusCodes[status]),
  };
  if (wanted.every) {
    let n = 0;
    one.timer = setInterval(() => one.set(wanted.modulo ? 3 * (++n % wanted.modulo) : ++n), wanted.every);
    one.stop = () => clearInterval(one.timer);
    one.count = () => n;
  }
  return one;
}

// Variables that all change at a fixed pace; `count` tells the sum of the changes.
function addMany(namespace, objects, number, every, held) {
  const folder = namespace.addFolder(objects, { browseName: "Many", nodeId: "s=Many" });
  const variables = [];
  for (let i = 0; i < number; i++) {
    variables.push(namespace.addVariable({ componentOf: folder, browseName: "V" + i, nodeId: "s=V" + i,
      dataType: "Double", minimumSamplingInterval: 0, value: new Variant({ dataType: DataType.Double, value: 0 }) }));
  }
  let round = 0;
  let running = true;
  const change = () => {
    if (!running) return;
    round++;
    const when = new Date();
    for (let i = 0; i < number; i++) {
      variables[i].setValueFromSource({ dataType: DataType.Double, value: round + i / 1e6 }, StatusCodes.Good, when);
    }
  };
  setInterval(change, every);
  held["*many"] = { count: () => round, stop: () => { running = false; }, resume: () => { running = true; } };
}

function counts(held) {
  const found = {};
  for (const name of Object.keys(held)) if (held[name].count) found[name] = held[name].count();
  return { counts: found };
}

function addDevice(space, namespace, held) {
  const di = space.getNamespaceIndex("http://opcfoundation.org/UA/DI/");
  const ns = space.getNamespace(di);
  const deviceSet = space.rootFolder.objects.getFolderElementByName("DeviceSet");
  const type = ns.findObjectType("DeviceType");
  const pumpType = namespace.addObjectType({ browseName: "PumpType", subtypeOf: type });
  const pump = pumpType.instantiate({ browseName: "Pump1", componentOf: deviceSet, nodeId: "s=Pump1",
    optionals: ["ParameterSet"] });
  const put = (name, value) => {
    const property = pump.getPropertyByName(name, di);
    if (property) property.setValueFromSource({ dataType: property.dataType.value === 21 ? DataType.LocalizedText : DataType.String,
      value: property.dataType.value === 21 ? opcua.coerceLocalizedText(value) : value });
  };
  put("Manufacturer", "Acme");
  put("Model", "P-100");
  put("SerialNumber", "SN-42");
  put("DeviceManual", "https://example.org/manual");
  let parameters = pump.getComponentByName("ParameterSet", di);
  if (!parameters) parameters = namespace.addObject({ componentOf: pump, browseName: { name: "ParameterSet", namespaceIndex: di } });
  held["Pump1.Flow"] = addVariable(space, namespace, parameters, "Flow", { type: "Double", unit: "cubic_metre_per_hour", range: [0, 50], value: 12 });
  held["Pump1.State"] = addVariable(space, namespace, parameters, "State", { labels: ["Stopped", "Running", "Faulted"], value: 1 });
}

// A machine as the companion specification Machinery has it, with a unit that speaks PackML below it.
function addMachine(space, namespace, held) {
  const machinery = space.getNamespaceIndex("http://opcfoundation.org/UA/Machinery/");
  const packml = space.getNamespaceIndex("http://opcfoundation.org/UA/PackML/");
  const machines = space.rootFolder.objects.getFolderElementByName("Machines");
  const press = namespace.addObject({ organizedBy: machines, browseName: "Press1" });
  const identification = space.getNamespace(machinery).findObjectType("MachineIdentificationType")
    .instantiate({ browseName: { name: "Identification", namespaceIndex: space.getNamespaceIndex("http://opcfoundation.org/UA/DI/") }, componentOf: press });
  for (const [name, value] of [["Manufacturer", "Acme"], ["SerialNumber", "SN-7"]]) {
    const property = identification.getChildren().find((each) => each.browseName.name === name);
    const text = property.dataType.value === 21;
    property.setValueFromSource({ dataType: text ? DataType.LocalizedText : DataType.String, value: text ? opcua.coerceLocalizedText(value) : value });
  }
  const components = namespace.addObject({ componentOf: press, browseName: { name: "Components", namespaceIndex: machinery }, typeDefinition: "FolderType" });
  const ram = namespace.addObject({ organizedBy: components, browseName: "Ram" });
  held.Force = addVariable(space, namespace, ram, "Force", { type: "Double", unit: "newton", range: [0, 900], value: 120 });
  const objects = space.rootFolder.objects.getFolderElementByName("PackMLObjects");
  const type = space.getNamespace(packml).findObjectType("PackMLBaseObjectType");
  type.instantiate({ browseName: "Filler1", organizedBy: objects, nodeId: "s=Filler1" });
}

function addAlarm(space, namespace, line, held) {
  space.installAlarmsAndConditionsService();
  held.Level = addVariable(space, namespace, line, "Level", { type: "Double", value: 10 });
  const input = line.getComponentByName("Level");
  namespace.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
    browseName: "LevelHigh", componentOf: line, conditionSource: line, conditionOf: line, inputNode: input,
    conditionName: "LevelHigh", highHighLimit: 95, highLimit: 80, lowLimit: 5, lowLowLimit: 1,
    optionals: ["ConfirmedState", "Confirm"],
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
