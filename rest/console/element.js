// DOM elements in one call. Text is always set as text, never as HTML: names come from the plant's devices.

/** `element("a.link", {href, onclick, "aria-label": ...}, child, "text", [more])` */
export function element(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made[name] = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Sets text only where it differs, so that nothing is laid out again for nothing. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const HEALTH = ["critical", "warning", "stale", "healthy", "unknown"];
const SIGNS = { critical: "✕", warning: "!", stale: "…", healthy: "✓", unknown: "?" };

/** A badge that tells health by colour, sign and word: colour alone would leave some readers out. */
export function healthBadge(health, score = null, word = false) {
  const label = score === null || score === undefined ? health : `${health}, ${Math.round(score)} of 100`;
  const text = score === null || score === undefined ? "" : String(Math.round(score));
  return element(
    "span.badge",
    { data: { health }, role: "img", "aria-label": label, title: label },
    element("i", { "aria-hidden": "true" }, SIGNS[health]),
    word ? health : text,
  );
}
