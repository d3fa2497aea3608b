// Questions over HTTP, and subscriptions over the graphql-transport-ws protocol with a socket that comes back.

const FIRST_WAIT = 400; // ms before the first attempt to reconnect; doubles
const LONGEST_WAIT = 8000;
const PING_EVERY = 10000;
const PING_TIMEOUT = 5000;

export class GraphQLError extends Error {
  constructor(errors) {
    super(errors.map((error) => error.message).join("; "));
    this.errors = errors;
  }
}

/** The `data` of a query; parts that failed are null, and it throws only if nothing came. */
export async function ask(query, variables = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  if (!answer.data) throw new GraphQLError(answer.errors ?? [{ message: response.statusText }]);
  return answer.data;
}

/** Subscriptions over one socket. `onState` hears connecting, live and offline. */
export class Subscriptions {
  constructor(onState) {
    this.onState = onState;
    this.wanted = new Map();
    this.number = 0;
    this.failures = 0;
    this.connect();
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  /**
   * Follows a subscription until the returned function is called. `variables` is a function: it is asked again after
   * each reconnection, so that a log can resume where it stopped.
   */
  follow(query, variables, onNext, onError = console.error) {
    const id = String(++this.number);
    this.wanted.set(id, { query, variables, onNext, onError });
    if (this.ready) this.begin(id);
    return () => {
      if (this.wanted.delete(id) && this.ready) this.send({ id, type: "complete" });
    };
  }

  connect() {
    this.onState("connecting", this.failures);
    const url = new URL("/graphql", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, "graphql-transport-ws");
    this.socket = socket;
    this.ready = false;
    socket.onopen = () => this.send({ type: "connection_init" });
    socket.onmessage = (frame) => this.receive(JSON.parse(frame.data));
    socket.onclose = () => socket === this.socket && this.lost();
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  begin(id) {
    const { query, variables } = this.wanted.get(id);
    this.send({ id, type: "subscribe", payload: { query, variables: variables() } });
  }

  receive(message) {
    clearTimeout(this.deadline);
    const subscription = this.wanted.get(message.id);
    if (message.type === "connection_ack") {
      this.ready = true;
      this.failures = 0;
      this.onState("live", 0);
      for (const id of this.wanted.keys()) this.begin(id);
      this.pinging = setInterval(() => this.ping(), PING_EVERY);
    } else if (message.type === "ping") {
      this.send({ type: "pong" });
    } else if (message.type === "next" && subscription) {
      if (message.payload.data) subscription.onNext(message.payload.data);
      else subscription.onError(new GraphQLError(message.payload.errors));
    } else if (message.type === "error" && subscription) {
      this.wanted.delete(message.id);
      subscription.onError(new GraphQLError(message.payload));
    }
  }

  // A cable that was pulled closes no socket; only silence tells.
  ping() {
    this.send({ type: "ping" });
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.socket.close(), PING_TIMEOUT);
    this.giveUp = setTimeout(() => this.socket.readyState === WebSocket.CLOSING && this.lost(), 2 * PING_TIMEOUT);
  }

  lost() {
    clearInterval(this.pinging);
    clearTimeout(this.deadline);
    clearTimeout(this.giveUp);
    this.socket.onclose = this.socket.onmessage = null;
    this.ready = false;
    const wait = Math.min(FIRST_WAIT * 2 ** this.failures++, LONGEST_WAIT) * (0.7 + 0.6 * Math.random());
    this.onState("offline", this.failures);
    this.waiting = setTimeout(() => this.connect(), wait);
  }

  hurry() {
    if (!this.ready && this.waiting && this.socket.readyState >= WebSocket.CLOSING) {
      clearTimeout(this.waiting);
      this.connect();
    }
  }
}
