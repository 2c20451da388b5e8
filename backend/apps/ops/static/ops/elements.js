// Small pieces of the page. Text goes in as text, never as markup: notes are written by people.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function bar(share, words, tone) {
  const element = make("span", { class: "bar", "data-tone": tone ?? null }, make("i"), make("b", {}, words));
  element.style.setProperty("--share", Math.max(0, Math.min(1, share ?? 0)));
  return element;
}

export const pill = (state, words) => make("span", { class: "pill", "data-state": state }, words);

// columns: [{head, cell(row), n: numeric, label: on a phone, span: takes the whole width there}]
export function table(columns, rows, { caption }) {
  const head = make("tr", {}, ...columns.map((one) => make("th", { scope: "col", class: one.n ? "n" : null }, one.head)));
  const body = rows.map((row) =>
    make("tr", {}, ...columns.map((one, at) => {
      const kind = [one.n ? "n" : "", one.span ? "span" : ""].join(" ").trim() || null;
      if (at === 0) return make("th", { scope: "row", class: kind }, ...[one.cell(row)].flat());
      return make("td", { class: kind, "data-label": one.label ?? one.head }, make("span", {}, ...[one.cell(row)].flat()));
    })),
  );
  return make("table", { class: "cards", "aria-label": caption }, make("thead", {}, head), make("tbody", {}, ...body));
}

export const empty = (words) => make("p", { class: "empty" }, words);

// A part that says the same as before is left alone, so that nothing jumps under a reader's finger.
const shown = new Map();
export function put(id, key, build) {
  const text = JSON.stringify(key);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  byId(id).replaceChildren(...[build()].flat());
}
