// A search over all nodes, sensors included: the service looks, so it does not matter how many there are.

import { ask } from "./graphql_client.js";
import { element, healthBadge } from "./element.js";
import { healthOf } from "./plant.js";

const FIND = `query Find($text: String!) {
  nodes(search: $text, first: 12) { totalCount nodes { id name level stale health { score status } } }
}`;
const PAUSE = 140;

export class SearchBox {
  constructor({ form, input, list }, { onSelect }) {
    Object.assign(this, { input, list, onSelect });
    this.at = -1;
    this.found = [];
    form.onsubmit = (event) => event.preventDefault();
    input.oninput = () => this.soon();
    input.onkeydown = (event) => this.pressed(event);
    input.onblur = () => setTimeout(() => this.close(), 150);
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      input.focus();
    });
  }

  soon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.look(), PAUSE);
  }

  async look() {
    const text = this.input.value.trim();
    if (!text) return this.close();
    const { nodes } = await ask(FIND, { text });
    if (text !== this.input.value.trim()) return undefined;
    this.found = nodes.nodes;
    this.at = this.found.length ? 0 : -1;
    this.render(nodes.totalCount);
    return undefined;
  }

  render(total) {
    const items = this.found.map((node, number) =>
      element(
        "li",
        { role: "option", id: `found-${number}`, "aria-selected": String(number === this.at), onpointerdown: () => this.choose(number) },
        healthBadge(healthOf(node)),
        element("span", {}, node.name),
        element("code", {}, node.id),
      ),
    );
    const left = total - items.length;
    if (!items.length) items.push(element("li.quiet", { role: "option", "aria-disabled": "true" }, "no node matches"));
    else if (left > 0) items.push(element("li.quiet", { role: "option", "aria-disabled": "true" }, `and ${left.toLocaleString("en")} more`));
    this.list.replaceChildren(...items);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((item, number) => item.setAttribute("aria-selected", String(number === this.at)));
    if (this.at >= 0) this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
  }

  pressed(event) {
    if (event.key === "Escape") {
      this.input.value = "";
      this.close();
      this.input.blur();
    } else if (event.key === "Enter" && this.at >= 0) {
      this.choose(this.at);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && this.found.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.mark();
    }
  }

  choose(number) {
    this.onSelect(this.found[number].id);
    this.input.value = "";
    this.close();
  }

  close() {
    this.list.hidden = true;
    this.found = [];
    this.at = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
