// Starts GraphiQL against the service that serves this page.
const socket = new URL("/graphql", location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";

const welcome = `# The twins of this plant, how healthy they are and what is wrong with them.
query Plant {
  twins {
    id
    health { score status }
    components {
      name
      health { score status }
      state { name value unit time quality }
      feedsInto { transferTime node { name } }
    }
    anomalies { rule severity value threshold since }
  }
}

# Live: the whole state first, then what changes.
subscription Live {
  state(maxHz: 2) { whole columns { signal value time } }
}
`;

const fetcher = GraphiQL.createFetcher({
  url: "/graphql",
  wsClient: graphqlWs.createClient({ url: socket.href, lazy: true }),
});

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery: welcome, defaultEditorToolsVisibility: true }),
);
