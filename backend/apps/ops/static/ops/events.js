// The line of events: dots on one time axis, and what each of them was, newest first.

import { byId, make, put } from "./elements.js";
import { STATES, ago, channel, clock, country, gateway, subject, told } from "./words.js";

const FEW = 8;
const KINDS = { gateway: "by itself", operator: "operator", guard: "guard", release: "deployment" };
const COLOURS = { gateway: "orange", operator: "blue", guard: "purple", release: "green" };
let all = false;

const HANDS = {
  "gateway.chosen": (event) => `put ${gateway(event.subject)} first ${event.detail.until ? `until ${clock(event.detail.until)}` : "until lifted"}`,
  "gateway.lifted": (event) => `lifted the choice of ${gateway(event.subject)}`,
  "block.added": (event) => `blocked ${event.subject}`,
  "block.changed": (event) => `changed the block of ${event.subject}`,
  "block.lifted": (event) => `lifted the block of ${event.subject}`,
  "key.rotated": () => "rotated the signing key",
};

function words(event) {
  const { detail } = event;
  if (event.kind === "release") return [`Version ${event.subject} began to run`, detail.from ? `instead of ${detail.from}` : ""];
  if (event.event === "gateway.expired") return [`The choice of ${gateway(event.subject)} by ${event.by} ended by itself`, event.note];
  if (event.kind === "operator") return [`${event.by} ${(HANDS[event.event] ?? (() => event.event))(event)}`, event.note];
  if (event.kind === "guard") {
    const what = subject(detail.of, event.subject);
    const verb = detail.mode === "enforce" ? "is" : "would be";
    const why = [detail.reason?.replaceAll("_", " "), detail.stopped ? `${detail.stopped} sends stopped` : "", detail.until ? `until ${clock(detail.until)}` : ""];
    return [`${what} ${verb} ${event.event === "open" ? "open again" : STATES[event.event] ?? event.event}`, why.filter(Boolean).join(", ")];
  }
  const where = [channel(detail.channel ?? ""), detail.country ? country(detail.country) : ""].filter(Boolean).join(", ");
  const state = event.event === "up" ? "is up again" : `is ${STATES[event.event] ?? event.event}`;
  return [`${gateway(event.subject)}${where ? ` (${where})` : ""} ${state}`, (detail.reason ?? "").replaceAll("_", " ")];
}

// What happens again and again is one line that says how often.
function together(events) {
  const found = [];
  for (const event of events) {
    const last = found.at(-1);
    if (last && words(last)[0] === words(event)[0]) last.times += 1;
    else found.push({ ...event, times: 1 });
  }
  return found;
}

function item(event) {
  const [plain, why] = words(event);
  const what = event.times > 1 ? `${plain} (${event.times} times)` : plain;
  return make("li", { "data-kind": event.kind },
    make("time", { datetime: event.at, title: ago(event.at) }, clock(event.at)),
    make("span", { class: "kind" }, KINDS[event.kind] ?? event.kind),
    make("span", {}, told(what), why ? make("em", {}, ` · ${told(why)}`) : null));
}

function strip(events, from, to) {
  const place = (element, at) => {
    element.style.left = `${((at - from) / (to - from)) * 100}%`;
    return element;
  };
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = from + share * (to - from);
    return place(make("span", {}, share === 1 ? "now" : clock(at)), at);
  });
  const dots = events.map((event) => place(make("i", { "data-kind": event.kind }), Date.parse(event.at)));
  return [...ticks, ...dots];
}

export function show(now) {
  const { events } = now, lines = together(events);
  const to = Date.parse(now.at), from = to - now.window_seconds * 1000;
  byId("strip").replaceChildren(...strip(events, from, to));
  put("events", [lines, all], () =>
    lines.length ? (all ? lines : lines.slice(0, FEW)).map(item)
      : make("li", { "data-kind": "" }, make("span", {}), make("span", {}), make("span", {}, "Nothing changed.")));
  const more = byId("more-events");
  more.hidden = lines.length <= FEW;
  more.textContent = all ? "Show fewer" : `Show all ${lines.length}`;
  more.onclick = () => {
    all = !all;
    show(now);
  };
}

export const marks = (events) => events.map((event) => ({ at: Date.parse(event.at) / 1000, colour: COLOURS[event.kind] ?? "grey" }));
