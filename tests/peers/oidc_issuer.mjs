// An issuer of OpenID Connect (panva's oidc-provider), at OIDC_PORT. OIDC_CLIENTS: the claims of each client's tokens, by its
// id; the secret of each is "secret". A resource is urn:AUDIENCE or urn:AUDIENCE:ALGORITHM. Commands on standard input:
// {"rotate": true}: signs with new keys, and shows no others; {"ttl": 60} [s]: how long tokens are good; {"asked": true}: how
// often its keys were asked for; {"keys": true}: its private keys, to sign with them what it would not.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const { Provider } = await import(process.env.NODE_PATH + "/oidc-provider/lib/index.js");
const port = Number(process.env.OIDC_PORT);
const claims = JSON.parse(process.env.OIDC_CLIENTS);
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"];
let ttl = 60, asked = 0, shown, answer;
console.info = console.error; // it remarks upon itself, and our standard output is for answers

function keys() {
  const made = [["rsa", { modulusLength: 2048 }], ["ec", { namedCurve: "P-256" }], ["ed25519", {}]];
  return made.map(([kind, options]) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }), use: "sig", kid: `${kind}-${randomUUID()}`,
  }));
}

function begin() {
  shown = keys();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys: shown },
    clients: Object.keys(claims).map((client_id) => ({
      client_id, client_secret: "secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [],
    })),
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    extraTokenClaims: (_, token) => claims[token.clientId],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          const [, audience, alg = "RS256"] = resource.split(":");
          return { scope: "", audience, accessTokenFormat: "jwt", accessTokenTTL: ttl, jwt: { sign: { alg } } };
        },
      },
    },
  });
  answer = provider.callback();
}

begin();
createServer((request, response) => {
  if (request.url.startsWith("/jwks")) asked++;
  answer(request, response);
}).listen(port, "127.0.0.1", () => console.log("ready"));

const commands = {
  rotate: () => begin(),
  ttl: (seconds) => { ttl = seconds; },
  asked: () => asked,
  keys: () => shown,
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  console.log(JSON.stringify(commands[name](argument) ?? null));
});
