// What one message costs, which phones would fill its code in, and what to do with it next.

const MECHANISMS = [
  ["android_sms_retriever", "Android SMS Retriever"],
  ["android_user_consent", "Android User Consent"],
  ["webotp", "WebOTP"],
  ["ios_autofill", "iOS autofill"],
];
const UNPRINTED = new Map([["\n", "⏎"], ["\u200e", "⟨LRM⟩"], ["\u200f", "⟨RLM⟩"]]);

function verdictLine(name, { fires, why }) {
  const sign = fires ? "m3 8.5 3.5 3.5L13 4.5" : "m4 4 8 8m0-8-8 8";
  return make("li", { class: fires ? "yes" : "no", "data-mechanism": name },
    make("span", { class: "sign" }, drawing("0 0 16 16", ["path", { d: sign }])),
    make("div", {}, make("strong", {}, name), make("span", { class: "fires" }, fires ? "fires" : "does not fire"), make("p", {}, why)));
}

function sizePanel({ channel, analysis }) {
  if (channel !== "sms") {
    return make("section", {}, make("h2", {}, "Size"),
      make("p", { class: "aside" }, "WhatsApp charges by message, not by segment; there, the approved template decides the words."));
  }
  const { encoding, units, segments, capacity, bytes } = analysis;
  const share = Math.min(100, (units / capacity) * 100);
  const mood = segments > 1 ? "over" : share > 92 ? "tight" : "fine";
  const bar = drawing("0 0 100 10", ["rect", { width: share, height: 10 }]);
  bar.setAttribute("preserveAspectRatio", "none");
  return make("section", {}, make("h2", {}, "Size"),
    make("p", { class: "size" }, make("b", {}, `${segments} segment${segments > 1 ? "s" : ""}`), ` · ${encoding} · ${units} of ${capacity} units · ${bytes} bytes`),
    make("div", { class: `meter ${mood}` }, bar));
}

function rawPanel({ text }) {
  const raw = make("pre", { class: "raw", id: "raw" });
  for (const piece of text.split(/([\n\u200e\u200f])/)) {
    if (UNPRINTED.has(piece)) raw.append(make("span", { class: "unprinted" }, UNPRINTED.get(piece)));
    if (piece === "\n" || !UNPRINTED.has(piece)) raw.append(piece);
  }
  return make("section", {}, make("div", { class: "titled" }, make("h2", {}, "As sent"), copyButton("Copy text", text, "Text", "small")), raw);
}

function nextPanel(message) {
  if (!message.code) return null;
  const line = verifyLine(message);
  return make("section", {}, make("div", { class: "titled" }, make("h2", {}, "Log in with it"), copyButton("Copy line", line, "Line", "small")), make("pre", { class: "line", tabindex: "0", "aria-label": "curl line" }, line));
}

let inspected = null;

function drawInspector(message) {
  const place = byId("inspector");
  if (inspected === (message?.id ?? "")) return;
  inspected = message?.id ?? "";
  if (!message) {
    place.replaceChildren(make("p", { class: "blank" }, "Choose a message to see its segments and which phones would fill its code in."));
    return;
  }
  const sent = new Date(message.sent_at);
  const head = message.code
    ? make("div", { class: "head" }, make("output", { id: "code", dir: "ltr" }, message.code), copyButton("Copy code", message.code, "Code", "primary"))
    : make("div", { class: "head" }, make("p", { class: "notice" }, "A notice, without a code"));
  const facts = make("p", { class: "facts" },
    make("span", {}, "to ", make("b", { dir: "ltr" }, message.to)), make("span", {}, message.channel === "sms" ? "SMS" : "WhatsApp"),
    make("span", { title: sent.toLocaleString() }, `${exactTime(sent)} · `, make("span", { "data-ago": message.sent_at }, ago(sent))));
  const verdicts = make("ul", { class: "verdicts" }, ...MECHANISMS.map(([key, name]) => verdictLine(name, message.analysis.autofill[key])));
  place.replaceChildren(...[make("section", {}, head, facts), make("section", {}, make("h2", {}, "Who fills it in"), verdicts),
    sizePanel(message), rawPanel(message), nextPanel(message)].filter(Boolean));
}

function tickInspector() {
  for (const node of document.querySelectorAll("[data-ago]")) node.textContent = ago(new Date(node.dataset.ago));
}
