// The state of the page, and the questions it asks the server: every second while somebody looks, rarely otherwise.

const MESSAGES = "/dev/messages/";
const state = { messages: [], filter: "", app: "sms", selected: null, etag: null, loaded: false };
const unread = { sms: 0, whatsapp: 0 };
const seen = new Set();
let timer = null;

const asciiDigits = (text) => text.replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => digit.charCodeAt(0) & 15).replace(/[^0-9]/g, "");
const askedNumber = () => byId("ask-number").value.trim() || "+966501234567";
const matching = () => state.messages.filter((message) => message.to.includes(asciiDigits(state.filter)));
const shownNow = () => matching().filter((message) => message.channel === state.app);

function select(id, { looking = false } = {}) {
  state.selected = id;
  draw();
  if (looking && matchMedia("(max-width: 760px)").matches) byId("inspector").scrollIntoView({ behavior: "smooth", block: "start" });
}

function draw(fresh = new Set()) {
  const shown = shownNow();
  unread[state.app] = 0;
  if (!shown.some((message) => message.id === state.selected)) state.selected = shown[0]?.id ?? null;
  drawNumbers();
  drawPhone(state, shown, { select, fresh, unread });
  drawInspector(shown.find((message) => message.id === state.selected));
  byId("clear").disabled = !state.messages.length;
}

function drawNumbers() {
  const groups = new Map();
  for (const message of state.messages) groups.set(message.to, [...(groups.get(message.to) ?? []), message]);
  const row = (label, note, count, filter) => {
    const chosen = filter === state.filter;
    const button = make("button", { type: "button", "aria-pressed": String(chosen), "data-number": filter },
      make("strong", { dir: "ltr" }, label), make("small", { class: "count", "aria-label": `${count} messages` }, String(count)), make("small", {}, note));
    button.addEventListener("click", () => filterBy(filter));
    return make("li", {}, button);
  };
  const rows = [row("All phones", groups.size === 1 ? "1 number" : `${groups.size} numbers`, state.messages.length, "")];
  for (const [number, messages] of groups) {
    if (number.includes(asciiDigits(state.filter)) || state.filter.startsWith("+")) {
      rows.push(row(number, `last ${clockTime(new Date(messages[0].sent_at))}`, messages.length, number));
    }
  }
  const held = document.activeElement?.closest?.("#numbers button")?.dataset.number;
  byId("numbers").replaceChildren(...rows);
  if (held !== undefined) byId("numbers").querySelector(`[data-number="${CSS.escape(held)}"]`)?.focus();
}

function filterBy(text) {
  state.filter = text;
  byId("filter").value = text;
  history.replaceState(null, "", text ? `#${text}` : location.pathname);
  // A phone whose messages all lie in the other app is shown with that app open.
  if (!shownNow().length && matching().length) state.app = matching()[0].channel;
  draw();
}

function take(messages) {
  const fresh = new Set(messages.filter((message) => !seen.has(message.id)).map((message) => message.id));
  const news = state.loaded ? messages.filter((message) => fresh.has(message.id)) : [];
  fresh.forEach((id) => seen.add(id));
  state.messages = messages;
  const kept = new Set(messages.map((message) => message.id));
  for (const id of bubbles.keys()) if (!kept.has(id)) bubbles.delete(id);
  const newest = matching().find((message) => fresh.has(message.id));
  if (newest) {
    for (const message of news) unread[message.channel] += 1;
    state.app = newest.channel;
    state.selected = newest.id;
  }
  if (news.length) {
    announce(news[0].code ? `New code ${[...news[0].code].join(" ")} for ${news[0].to}` : `New notice for ${news[0].to}`);
    if (document.hidden) document.title = `● ${news[0].code ?? "Notice"} · ${appName}`;
  }
  draw(state.loaded ? fresh : new Set());
  if (!state.loaded) byId("stream").scrollTop = byId("stream").scrollHeight;
  state.loaded = true;
}

function showLine(name, text) {
  byId("live").dataset.state = name;
  if (byId("live-text").textContent !== text) byId("live-text").textContent = text;
}

async function ask() {
  clearTimeout(timer);
  try {
    const answer = await fetch(MESSAGES, { cache: "no-store", headers: state.etag ? { "If-None-Match": state.etag } : {} });
    if (answer.status === 200) {
      const messages = await answer.json();
      state.etag = answer.headers.get("ETag");
      take(messages);
    } else if (answer.status !== 304) throw new Error(String(answer.status));
    showLine("live", "Live");
  } catch {
    showLine("lost", "No answer, trying again");
  }
  clearTimeout(timer);
  timer = setTimeout(ask, document.hidden ? 4000 : 1000);
}

async function sendCode(event) {
  event.preventDefault();
  const outcome = byId("ask-outcome");
  const body = { phone_number: askedNumber(), channel: byId("ask-channel").value };
  outcome.dataset.kind = "";
  outcome.textContent = "Asking …";
  try {
    const headers = { "Content-Type": "application/json", "Accept-Language": byId("ask-language").value };
    const answer = await fetch("/api/auth/phone/request/", { method: "POST", headers, body: JSON.stringify(body) });
    const told = await answer.json();
    const wait = told.retry_after ? ` Try again in ${told.retry_after} s.` : "";
    outcome.dataset.kind = answer.ok ? "good" : "bad";
    outcome.textContent = answer.ok ? `Sent. The code lives ${Math.round(told.expires_in / 60)} minutes.` : `${told.detail ?? told.code ?? answer.status}${wait}`;
  } catch {
    outcome.dataset.kind = "bad";
    outcome.textContent = "The service did not answer.";
  }
  ask();
}

async function clearAll() {
  await fetch(MESSAGES, { method: "DELETE" }).catch(() => showLine("lost", "No answer, trying again"));
  await ask();
  announce("All messages cleared");
}

function walk(step) {
  const order = shownNow().reverse().map((message) => message.id);
  const next = order[order.indexOf(state.selected) + step];
  if (!next) return;
  select(next);
  const bubble = bubbles.get(next).querySelector(".bubble");
  bubble.focus({ preventScroll: true });
  bubble.scrollIntoView({ block: "nearest" });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && event.target === byId("filter")) { filterBy(""); event.target.blur(); return; }
  if (typing) return;
  const chosen = state.messages.find((message) => message.id === state.selected);
  if (event.key === "/") { event.preventDefault(); byId("filter").focus(); }
  else if (event.key.toLowerCase() === "c" && chosen?.code) copyWithFeedback(byId("inspector").querySelector(".primary"), chosen.code, "Code");
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") { event.preventDefault(); walk(event.key === "ArrowUp" ? -1 : 1); }
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("handset-theme", document.documentElement.dataset.theme); } catch { /* private window */ }
}

function start() {
  try { document.documentElement.dataset.theme = localStorage.getItem("handset-theme") ?? ""; } catch { /* private window */ }
  if (matchMedia("(max-width: 760px)").matches) byId("ask").open = false;
  state.filter = decodeURIComponent(location.hash.slice(1));
  byId("filter").value = state.filter;
  byId("filter").addEventListener("input", (event) => filterBy(event.target.value.trim()));
  byId("theme").addEventListener("click", switchTheme);
  byId("clear").addEventListener("click", clearAll);
  byId("ask-form").addEventListener("submit", sendCode);
  for (const button of document.querySelectorAll(".apps button")) {
    button.addEventListener("click", () => { state.app = button.dataset.app; draw(); });
  }
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    document.title = `Handset · ${appName}`;
    ask();
  });
  const tick = () => { byId("clock").textContent = clockTime(new Date()); tickInspector(); };
  tick();
  setInterval(tick, 1000);
  draw();
  ask();
}

start();
