// What to type next, while there is no plant yet.

import { element } from "./element.js";

export function emptyPage() {
  const reading = JSON.stringify({
    device_id: "pump_1",
    timestamp: new Date().toISOString(),
    measurements: [{ name: "temperature", value: 45.2, unit: "celsius" }],
  });
  return [
    element("h2", {}, "There is no plant here yet"),
    element("p", {}, "Describe one and apply it:"),
    command("iotsense init my-plant\niotsense apply my-plant"),
    element("p", {}, "Or send a reading; its device appears here by itself:"),
    command(`curl ${location.origin}/api/v1/iotsense/telemetry \\\n  -H 'Content-Type: application/json' \\\n  -d '${reading}'`),
    element("p", {}, "Or watch a bottling line that is simulated, from a checkout of IoTSense:"),
    command("make demo"),
  ];
}

function command(text) {
  const copy = element("button.copy", { type: "button", "aria-label": "Copy the command" }, "Copy");
  copy.onclick = async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  };
  return element("div.command", {}, element("pre", {}, text), copy);
}
