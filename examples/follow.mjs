// Start a brand from URLs and follow its run live, with nothing but fetch and WebSocket.
//
//   node --experimental-websocket examples/follow.mjs http://127.0.0.1:8321 https://example.com/1.jpg …
//
// Node 22, and every browser, has WebSocket without the flag.

const [server, ...urls] = process.argv.slice(2);

async function ask(method, path, body) {
  const response = await fetch(`${server}/api/v1${path}`, {
    method,
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.detail} ${answer.remedy ?? ""}`);
  return answer;
}

// Each state is whole and has a version: keep the highest, and subscribe again after a lost connection.
function follow(run, show) {
  let version = -1;
  let pause_ms = 100;
  return new Promise((over, give_up) => {
    let failures = 0;
    function connect() {
      const socket = new WebSocket(`${server.replace(/^http/, "ws")}/ws`, "triptych.v1");
      socket.onopen = () =>
        socket.send(JSON.stringify({ type: "subscribe", topics: [{ topic: `run:${run}` }] }));
      socket.onmessage = ({ data }) => {
        failures = 0;
        const frame = JSON.parse(data);
        if (frame.type === "error") give_up(new Error(frame.message));
        if (frame.type !== "state" || frame.version <= version) return;
        version = frame.version;
        show(frame.state);
        if (frame.final) {
          socket.onclose = null;
          socket.close();
          over(frame.state);
        }
      };
      socket.onclose = () => {
        if (++failures > 20) return give_up(new Error("The server does not answer."));
        pause_ms = Math.min(2 * pause_ms, 5000);
        setTimeout(connect, Math.random() * pause_ms);
      };
    }
    connect();
  });
}

const task = await ask("POST", "/brands/acme-js/runs", { urls });
const last = await follow(task.run, (run) =>
  console.log(`${run.state}: ${run.settled} of ${run.expected} items`),
);
const page = await ask("GET", "/brands/acme-js/assets?limit=100");
for (const asset of page.items) console.log(`asset: ${asset.url} ${asset.width}×${asset.height}`);
process.exitCode = last.state === "committed" ? 0 : 1;
