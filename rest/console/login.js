// Who is at this page: nobody asks as long as there is no key; then a key begins a session.

import { element } from "./element.js";

const SESSION = "/api/v1/iotsense/session";

/** Resolves once somebody is there; asks for a key if one is needed. */
export async function signedIn() {
  const answer = await fetch(SESSION);
  if (!answer.ok) return; // the page's questions will tell what is the matter
  const session = await answer.json();
  if (session.required && !session.name) await asked();
  else if (session.required) offerEnd(session);
}

function asked() {
  const input = element("input", { type: "password", id: "key", autocomplete: "current-password", required: true, spellcheck: "false" });
  const wrong = element("p.wrong", { role: "alert" });
  const form = element(
    "form.login",
    { "aria-label": "Sign in" },
    element("h2", {}, "Who is there?"),
    element("p", {}, "This plant opens with a key. iotsense keys create makes one."),
    element("label", { for: "key" }, "Key"),
    input,
    element("button", { type: "submit" }, "Sign in"),
    wrong,
  );
  document.body.classList.add("locked");
  document.body.append(form);
  input.focus();
  return new Promise(() => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const answer = await fetch(SESSION, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ key: input.value }),
      });
      if (answer.ok) return location.reload();
      wrong.textContent = (await answer.json()).detail;
      input.select();
    };
  });
}

function offerEnd({ name }) {
  const button = element("button.sign-out", { type: "button", title: `Signed in with ${name}` }, "Sign out");
  button.onclick = async () => {
    await fetch(SESSION, { method: "DELETE" });
    location.reload();
  };
  document.querySelector(".bar .links").append(button);
}
