// A client of a Kafka broker for the tests: commands as lines of JSON on stdin, an answer to each on stdout.
// create {topic, partitions}; remove {topic}; send {topic, messages: [{key, value (base64 or null), headers, partition, timestamp}]};
// read {topic, count, timeout}: the first messages of a topic, as texts;
// group {group}: the offsets that it has committed; reset {group, topic, offset}: as an operator who rewinds a group.
const { Kafka, logLevel, CompressionTypes } = require("kafkajs");
const readline = require("readline");

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
const kafka = new Kafka({ clientId: "peer", brokers: [process.argv[2]], logLevel: logLevel.NOTHING, retry: { retries: 20, initialRetryTime: 100 } });
const admin = kafka.admin();
const producer = kafka.producer({ allowAutoTopicCreation: false });

const commands = {
  create: ({ topic, partitions }) =>
    admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }] }),
  remove: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
  group: ({ group }) => admin.fetchOffsets({ groupId: group }),
  reset: ({ group, topic, offset }) =>
    admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: String(offset) }] }),
  send: ({ topic, messages, gzip }) =>
    producer.send({
      topic,
      acks: -1,
      compression: gzip ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: messages.map((m) => ({ ...m, value: m.value === null ? null : Buffer.from(m.value, "base64") })),
    }),

  read: async ({ topic, count, timeout }) => {
    const consumer = kafka.consumer({ groupId: `reader-${Math.random()}`, sessionTimeout: 10000 });
    const found = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise((done, failed) => {
      setTimeout(done, timeout || 20000);
      consumer.run({ eachMessage: async ({ message: m }) => {
        const headers = Object.fromEntries(Object.entries(m.headers || {}).map(([name, value]) => [name, String(value)]));
        found.push({ key: String(m.key), value: String(m.value), headers, timestamp: m.timestamp });
        if (found.length >= count) done();
      } }).catch(failed);
    });
    await consumer.disconnect();
    return found;
  },
};

async function main() {
  await admin.connect();
  await producer.connect();
  console.log(JSON.stringify({ ready: true }));
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const command = JSON.parse(line);
    try {
      console.log(JSON.stringify({ ok: (await commands[command.do](command)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
    }
  }
  await producer.disconnect();
  await admin.disconnect();
}

main().catch((error) => {
  console.log(JSON.stringify({ error: String(error) }));
  process.exit(1);
});
