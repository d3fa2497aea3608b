// A client by somebody else (node-opcua) that reads our OPC UA server. For each attempt it tells what it saw, or why it
// was refused; all of it as one line of JSON.
// node opcua_client.js URL PKI_FOLDER NODE_ID '[{"policy": "None", "user": "", "password": "", "seconds": 1}, ...]'
const {
  OPCUAClient, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy, UserTokenType, AttributeIds,
  TimestampsToReturn, BrowseDirection, NodeClass,
} = require("node-opcua");

const [url, pki, variable, attempts] = process.argv.slice(2);

async function references(session, nodeId) {
  const found = await session.browse({
    nodeId, browseDirection: BrowseDirection.Forward, includeSubtypes: true, resultMask: 63, nodeClassMask: 0,
  });
  return found.references.map((each) => ({
    name: each.browseName.name, id: each.nodeId.toString(), class: NodeClass[each.nodeClass],
    type: each.typeDefinition.toString(), reference: each.referenceTypeId.toString(),
  }));
}

async function changes(session, seconds) {
  const seen = [];
  const subscription = await session.createSubscription2({
    requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 20, publishingEnabled: true,
  });
  const item = await subscription.monitor(
    { nodeId: variable, attributeId: AttributeIds.Value },
    { samplingInterval: 50, queueSize: 100, discardOldest: true }, TimestampsToReturn.Both,
  );
  item.on("changed", (value) => seen.push(value.value.value));
  await new Promise((done) => setTimeout(done, seconds * 1000));
  await subscription.terminate();
  return seen;
}

async function look(session, seconds) {
  const value = await session.read({ nodeId: variable, attributeId: AttributeIds.Value });
  const inside = await references(session, variable);
  const unit = inside.find((each) => each.name === "EngineeringUnits");
  const range = inside.find((each) => each.name === "EURange");
  const property = async (one) => one && (await session.read({ nodeId: one.id, attributeId: AttributeIds.Value })).value.value;
  const told = {
    value: value.value.value,
    status: value.statusCode.name,
    sourceTimestamp: value.sourceTimestamp,
    unit: await property(unit),
    range: await property(range),
    component: await references(session, variable.slice(0, variable.lastIndexOf("."))),
  };
  if (seconds > 0) told.changes = await changes(session, seconds);
  const history = await session.readHistoryValue(variable, new Date(Date.now() - 3600e3), new Date(Date.now() + 60e3));
  told.history = history.historyData ? history.historyData.dataValues.map((each) => each.value.value) : [];
  const wanted = { nodeId: variable, attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 1 } } };
  told.written = (await session.write(wanted)).name;
  return told;
}

async function attempt(clientCertificateManager, { policy, user, password, seconds }) {
  const client = OPCUAClient.create({
    applicationName: "peer", endpointMustExist: false, clientCertificateManager,
    securityPolicy: SecurityPolicy[policy],
    securityMode: policy === "None" ? MessageSecurityMode.None : MessageSecurityMode.SignAndEncrypt,
    connectionStrategy: { maxRetry: 0, initialDelay: 50 },
  });
  try {
    await client.connect(url);
    const identity = user ? { type: UserTokenType.UserName, userName: user, password } : { type: UserTokenType.Anonymous };
    const session = await client.createSession(identity);
    const told = await look(session, seconds || 0);
    await session.close();
    return told;
  } catch (error) {
    return { error: error.message };
  } finally {
    await client.disconnect();
  }
}

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const told = [];
  for (const each of JSON.parse(attempts)) told.push(await attempt(manager, each));
  console.log(JSON.stringify(told));
  process.exit(0);
}

main();
