// Follows the changes of the graph by the clients that others wrote, as docs/graphql.md shows it, and comes back by itself: says a line
// of JSON for each change, and one for each loss. TRANSPORT is sse or ws; LOOP is the text of the page, made a function.
const { createClient } = require(process.env.TRANSPORT === "ws" ? "graphql-ws" : "graphql-sse");

const say = (what) => console.log(JSON.stringify(what));
const url = process.env.URL_;
const authorization = process.env.KEY ? `Bearer ${process.env.KEY}` : undefined;
const client =
  process.env.TRANSPORT === "ws"
    ? createClient({
        url: url.replace("http", "ws"),
        connectionParams: authorization ? { authorization } : {},
        webSocketImpl: require("ws"),
        retryAttempts: 0,
      })
    : createClient({ url, headers: authorization ? { authorization } : {}, retryAttempts: 0 });

const follow = new Function("client", "take", "console", `return (async () => { ${process.env.LOOP} })()`);
follow(client, say, { error: (error) => say({ lost: error.message ?? String(error.reason ?? error.code ?? error) }) });
