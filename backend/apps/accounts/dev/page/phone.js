// The phone itself: one app's messages, oldest first, with what the keyboard would suggest below them.

const appName = document.body.dataset.appName;
const bubbles = new Map();

function bubbleOf(message, { select, fresh }) {
  const known = bubbles.get(message.id);
  if (known) return known;
  const words = wordsWithCode(message.text, message.code);
  const bubble = make("div", { class: "bubble", role: "button", tabindex: "0", "aria-pressed": "false" }, words);
  const choose = () => select(message.id, { looking: true });
  bubble.addEventListener("click", (event) => {
    if (event.target.tagName === "MARK") copyWithFeedback(copy, message.code, "Code");
    choose();
  });
  bubble.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
  const copy = message.code
    ? copyButton(message.channel === "whatsapp" ? "Copy code" : `Copy ${message.code}`, message.code, "Code", "copy")
    : null;
  const sent = new Date(message.sent_at);
  const time = make("time", { datetime: message.sent_at, title: sent.toLocaleString() }, exactTime(sent));
  const entry = make("article", { class: fresh ? "message arrived" : "message", "data-id": message.id },
    make("p", { class: "whom", dir: "ltr" }, `to ${message.to}`),
    make("div", { class: "pack" }, bubble, make("div", { class: "under" }, copy, time)));
  bubbles.set(message.id, entry);
  return entry;
}

function emptyPhone({ anything, filtered, app, number }) {
  if (anything) {
    const other = app === "sms" ? "WhatsApp" : "Messages";
    return make("div", { class: "none" }, make("strong", {}, "Nothing here"),
      make("p", {}, filtered ? "No message in this app for this filter." : `What there is lies in ${other}.`));
  }
  const line = requestLine(number);
  return make("div", { class: "none", id: "empty" },
    drawing("0 0 24 24", ["path", { d: "M12 4c5 0 9 3.1 9 7s-4 7-9 7c-.9 0-1.8-.1-2.6-.3L5 20l1-3.4C4.1 15.3 3 13.3 3 11c0-3.9 4-7 9-7z" }]),
    make("strong", {}, "No messages yet"),
    make("p", {}, "The next code lands here by itself. Send the first one:"),
    make("pre", { class: "line", tabindex: "0", "aria-label": "curl line" }, line),
    copyButton("Copy the curl line", line, "Line", "primary"),
    make("p", {}, "Test numbers never get a message: their code is fixed."));
}

function dayLabel(message) {
  const day = new Date(message.sent_at);
  const today = new Date().toDateString() === day.toDateString();
  const name = today ? "Today" : day.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  return make("p", { class: "day" }, make("b", {}, message.channel === "sms" ? "Text Message · " : ""), name);
}

function drawStream(state, shown, { select, fresh }) {
  const stream = byId("stream");
  const held = document.activeElement?.closest?.(".message") ? document.activeElement : null;
  const below = stream.scrollHeight - stream.scrollTop - stream.clientHeight < 60;
  const nodes = [];
  let day = "";
  for (const message of [...shown].reverse()) {
    const label = new Date(message.sent_at).toDateString();
    if (label !== day) nodes.push(dayLabel(message));
    day = label;
    nodes.push(bubbleOf(message, { select, fresh: fresh.has(message.id) }));
  }
  if (!nodes.length) {
    nodes.push(emptyPhone({ anything: state.messages.length > 0, filtered: Boolean(state.filter), app: state.app, number: askedNumber() }));
  }
  const same = nodes.length === stream.children.length && nodes.every((node, index) => node === stream.children[index]);
  if (!same) {
    stream.replaceChildren(...nodes);
    held?.isConnected && held.focus({ preventScroll: true });
    if (fresh.size || below) stream.scrollTop = stream.scrollHeight;
  }
  for (const [id, entry] of bubbles) {
    entry.querySelector(".bubble").setAttribute("aria-pressed", String(id === state.selected));
  }
}

function drawSuggestion(message) {
  const place = byId("suggestion");
  if (!message || !message.code) return place.replaceChildren();
  const verdict = message.analysis.autofill.ios_autofill;
  if (!verdict.fires) {
    return place.replaceChildren(make("p", { title: verdict.why }, "No suggestion above an iPhone's keyboard"));
  }
  const button = make("button", { type: "button", "aria-label": `Suggested from Messages: ${message.code}. Copy`, title: "What an iPhone's keyboard would offer" },
    make("small", {}, "From Messages"), make("b", {}, message.code));
  button.addEventListener("click", () => copyWithFeedback(button.querySelector("b"), message.code, "Code"));
  place.replaceChildren(button);
}

function drawPhone(state, shown, { select, fresh, unread }) {
  byId("phone").dataset.app = state.app;
  const numbers = new Set(shown.map((message) => message.to));
  byId("avatar").textContent = [...appName][0]?.toUpperCase() ?? "";
  byId("sender").textContent = appName;
  byId("receiver").textContent = numbers.size === 1 ? `on ${[...numbers][0]}` : numbers.size ? `on ${numbers.size} phones` : state.app === "sms" ? "Text messages" : "Business account";
  byId("stream").classList.toggle("mixed", numbers.size > 1);
  for (const button of document.querySelectorAll(".apps button")) {
    button.setAttribute("aria-pressed", String(button.dataset.app === state.app));
  }
  for (const app of ["sms", "whatsapp"]) {
    byId(`unread-${app}`).hidden = !unread[app];
    byId(`unread-${app}`).textContent = unread[app] || "";
  }
  drawStream(state, shown, { select, fresh });
  drawSuggestion(shown[0]);
}
