// A web service that takes webhooks as the specification's example does, and checks their signatures (WEBHOOK_SECRET)
// with node's own crypto. Commands on standard input: {"got": true}: what came since the last time;
// {"answer": {"status", "times", "body", "retry"}}: what the next requests are answered; {"slow": 100} [ms].
const http = require("http");
const crypto = require("crypto");
const readline = require("readline");
let got = [], answers = [], slow = 0;

function signed(request, body) {
  const [id, stamp] = [request.headers["webhook-id"], request.headers["webhook-timestamp"]];
  const secret = process.env.WEBHOOK_SECRET || "";
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
  const expected = "v1," + crypto.createHmac("sha256", key).update(`${id}.${stamp}.${body}`).digest("base64");
  return request.headers["webhook-signature"] === expected && Math.abs(Date.now() / 1000 - Number(stamp)) < 60;
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => setTimeout(() => {
    const body = Buffer.concat(parts).toString();
    const answer = answers.length ? answers[0] : { status: 200, body: "OK" };
    if (answers.length && --answers[0].times <= 0) answers.shift();
    if (answer.status === 200) {
      const { type, data, timestamp } = JSON.parse(body);
      const { "webhook-id": id, "content-type": media, authorization } = request.headers;
      got.push({ type, data, timestamp, id, media, authorization, path: request.url, method: request.method, signed: signed(request, body), whole: JSON.parse(body) });
    }
    response.writeHead(answer.status, answer.retry ? { "Retry-After": String(answer.retry) } : {});
    response.end(answer.body || "");
  }, slow));
});
server.listen(Number(process.env.WEBHOOK_PORT), "127.0.0.1", () => console.log("ready"));

const commands = {
  got: () => { const found = got; got = []; return found; },
  answer: (answer) => { answers.push({ times: 1, ...answer }); },
  slow: (milliseconds) => { slow = milliseconds; },
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  const result = commands[name](argument);
  console.log(JSON.stringify(result === undefined ? null : result));
});
