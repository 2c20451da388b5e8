// The page as a whole: asks every few seconds, shows what it got, and says so when it gets nothing.

import * as charts from "./charts.js";
import { byId, make, put } from "./elements.js";
import * as events from "./events.js";
import * as hands from "./hands.js";
import * as tables from "./tables.js";
import { ago, clock, span, told } from "./words.js";

const EVERY_MS = 5000;
const urls = document.body.dataset;
let chosen = new URLSearchParams(location.search).get("window") || document.querySelector('[aria-pressed="true"]').dataset.window;
let newest = null;
let newestAt = 0;
let timer;
let asked = 0;

// What was found at fault before the database went is no reason of this.
const GONE = {
  because: ["PostgreSQL refuses the service or does not answer it. No gateway is at fault, and switching helps nobody."],
  doing: [
    "The service tries again by itself and needs no restart. No session, limit or block is lost meanwhile.",
    "Follow docs/runbooks/database-loss-and-restore.md.",
  ],
};

function lines(name, said) {
  put(name, said, () => said.map((line) => make("li", {}, told(line))));
  byId(name).parentElement.hidden = !said.length;
}

function headline(now) {
  const { headline: said } = now;
  byId("headline").dataset.level = said.level;
  put("sentence", said.sentence, () => told(said.sentence));
  byId("since").textContent = said.since ? `since ${clock(said.since)}, ${ago(said.since)}` : "";
  byId("note").textContent = said.note;
  for (const name of ["because", "doing"]) lines(name, said[name]);
  const signs = { ok: "✓", degraded: "!", down: "✕" };
  document.title = `${signs[said.level]} ${told(said.sentence)}`;
}

function show(now) {
  headline(now);
  tables.figures(now);
  for (const id of ["per-codes", "per-refused"]) byId(id).textContent = span(now.step);
  charts.show(now.series, events.marks(now.events), Date.parse(now.at));
  events.show(now);
  tables.gateways(now, (name) => hands.choose(now.choosable, name), hands.unchoose);
  tables.countries(now);
  tables.refusals(now);
  tables.failures(now);
  tables.spend(now);
  tables.blocks(now, hands.lift);
  if (document.querySelector(".numbers").open) tables.numbers(now);
}

function live(state, words) {
  byId("live").dataset.state = state;
  if (byId("live-text").textContent !== words) byId("live-text").textContent = words;
}

// The page's own numbers are gone; the status needs neither a login nor much of a database, and may know why.
async function lost(reason) {
  live("stale", newestAt ? `${reason}; numbers of ${clock(newestAt)}` : reason);
  const status = await fetch(urls.status, { headers: { Accept: "application/json" } }).then((answer) => answer.json()).catch(() => null);
  if (status === null || status.database === "connected") return;
  byId("headline").dataset.level = "down";
  put("sentence", "database", () => "Login is not working: the database does not answer.");
  byId("since").textContent = newestAt ? `the numbers below are of ${clock(newestAt)}` : "";
  byId("note").textContent = "";
  lines("because", GONE.because);
  lines("doing", GONE.doing);
}

async function ask() {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const answer = await fetch(`${urls.data}?window=${encodeURIComponent(chosen)}`, { headers: { Accept: "application/json" } });
    if (answer.status === 401) {
      location.assign(urls.login);
      return;
    }
    if (!answer.ok) throw new Error(`The service answers ${answer.status}`);
    const now = await answer.json();
    if (mine !== asked) return;
    [newest, newestAt] = [now, Date.now()];
    show(now);
    live("live", "Live");
  } catch (error) {
    if (mine === asked) await lost(error instanceof TypeError ? "No connection" : error.message);
  } finally {
    if (mine === asked && !document.hidden) timer = setTimeout(ask, EVERY_MS);
  }
}

function choose(window_) {
  chosen = window_;
  for (const button of document.querySelectorAll("[data-window]")) button.setAttribute("aria-pressed", button.dataset.window === chosen);
  history.replaceState(null, "", `?window=${chosen}`);
  ask();
}

function light(theme) {
  document.documentElement.dataset.theme = theme;
  charts.redraw();
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const wanted = () => localStorage.getItem("otp-theme") ?? (dark.matches ? "dark" : "light");
light(wanted());
dark.addEventListener("change", () => light(wanted()));
byId("theme").addEventListener("click", () => {
  localStorage.setItem("otp-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  light(wanted());
});
for (const button of document.querySelectorAll("[data-window]")) {
  button.setAttribute("aria-pressed", button.dataset.window === chosen);
  button.addEventListener("click", () => choose(button.dataset.window));
}
document.addEventListener("visibilitychange", () => !document.hidden && ask());
document.querySelector(".numbers").addEventListener("toggle", () => newest && tables.numbers(newest));
new ResizeObserver(charts.fit).observe(document.querySelector(".charts"));
hands.ready(urls.act, ask, () => newest?.choosable ?? []);
ask();
