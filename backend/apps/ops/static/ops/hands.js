// The operator's hands: a dialog for each act, its note, and what the service said to it.

import { byId, make } from "./elements.js";
import { gateway } from "./words.js";

const HINTS = { phone: "+9665XXXXXXXX", prefix: "+96655", ip: "192.0.2.7 or 192.0.2.0/24", device: "the app's device id" };
const LABELS = { value: "Value", type: "What", note: "Why", expires_in: "For", provider: "Gateway" };
let quiet;

export function toast(words) {
  const element = byId("toast");
  element.textContent = words;
  element.hidden = false;
  clearTimeout(quiet);
  quiet = setTimeout(() => (element.hidden = true), 6000);
}

function open(name, values = {}) {
  const dialog = byId(name), form = dialog.querySelector("form");
  form.reset();
  form.querySelector(".fault").hidden = true;
  const force = form.querySelector(".force");
  if (force) force.hidden = true;
  for (const [field, value] of Object.entries(values)) form.elements[field].value = value;
  dialog.showModal();
}

export function choose(choosable, name) {
  const select = byId("choose").querySelector("select[name=provider]");
  select.replaceChildren(...choosable.map((one) => make("option", { value: one }, gateway(one))));
  open("choose", name ? { provider: name } : {});
}

export const unchoose = () => open("unchoose");

export function lift(block) {
  byId("lift-what").textContent = block.value;
  open("lift", { ref: block.id });
}

function fault(form, words) {
  const place = form.querySelector(".fault");
  place.textContent = words;
  place.hidden = false;
}

async function post(form, url) {
  const button = form.querySelector(".strong");
  button.disabled = true;
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said.done;
    const force = form.querySelector(".force");
    if (said.code === "force_required" && force) force.hidden = false;
    const fields = Object.entries(said.fields ?? {}).map(([name, lines]) => `${LABELS[name] ?? name}: ${lines.join(" ")}`);
    fault(form, fields.join(" ") || said.detail || `Not done (${answer.status}).`);
  } catch {
    fault(form, "Not done: the service does not answer.");
  } finally {
    button.disabled = false;
  }
  return null;
}

export function ready(url, afterwards, choosable) {
  byId("open-choose").addEventListener("click", () => choose(choosable(), ""));
  byId("open-block").addEventListener("click", () => open("block"));
  const kind = byId("block").querySelector("select[name=type]"), value = byId("block").querySelector("input[name=value]");
  kind.addEventListener("change", () => (value.placeholder = HINTS[kind.value]));
  for (const form of document.querySelectorAll("dialog form")) {
    form.querySelector("[data-close]").addEventListener("click", () => form.closest("dialog").close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const done = await post(form, url);
      if (done === null) return;
      form.closest("dialog").close();
      toast(done);
      afterwards();
    });
  }
}
