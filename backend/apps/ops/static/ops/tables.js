// The key figures and the tables. It must not know how they are fetched.

import { bar, empty, make, pill, put, table } from "./elements.js";
import { STATES, ago, cash, channel, clock, count, country, gateway, percent, ratio, refusal, seconds, subject } from "./words.js";

const tone = (share) => (share === null ? null : share < 0.35 ? "bad" : share < 0.6 ? "warn" : null);
const share = (part) => bar(part, percent(part), tone(part));

function figure(title, value, note, mood) {
  return make("article", { class: "figure", "data-tone": mood ?? null },
    make("h3", {}, title), make("p", { class: "value" }, value), make("p", { class: "note" }, note));
}

export function figures(now) {
  const { counters: sum, time_to_login: wait, spend } = now;
  const limited = sum.rate_limited + sum.blocked;
  const over = spend.daily_limit && spend.today >= spend.daily_limit;
  put("figures", [sum, now.conversion, wait, spend], () => [
    figure("Got in", percent(now.conversion), `${count(sum.verified)} codes proven`, tone(now.conversion)),
    figure("Time to log in", seconds(wait.p50), `95 of 100 within ${seconds(wait.p95)}`),
    figure("Asked", count(sum.requested), `${count(sum.expired)} codes never used`),
    figure("Sent", count(sum.sent), `${count(sum.delivered)} with a receipt, ${count(sum.failed)} tries failed`),
    figure("Turned away", count(limited), `${count(sum.rate_limited)} limits, ${count(sum.blocked)} blocks`,
      limited > 20 && limited > sum.requested ? "warn" : null),
    figure("Spent today", cash(spend.today), spend.daily_limit ? `of ${cash(spend.daily_limit)} a day` : "no budget is set",
      over ? "bad" : spend.daily_limit && spend.today > spend.daily_limit * 0.8 ? "warn" : null),
  ]);
}

// A weight of 1 is what the route gives it: all for the first, for the others what those before it leave.
function traffic(row, state, chosen) {
  if (state === "forced") return "goes first";
  if (chosen && row.weight === 0 && state === "up") return "set aside by the choice";
  if (row.weight === 1) return make("small", {}, "as configured");
  return row.weight === 0 ? make("span", { class: "bad" }, "probes only") : bar(row.weight, percent(row.weight), "warn");
}

export function gateways(now, choose, unchoose) {
  const states = Object.fromEntries(now.status.providers.map((one) => [one.name, one]));
  const chosen = now.choice?.provider;
  const act = (row) => {
    if (row.name === chosen) return make("button", { type: "button", onclick: unchoose }, "Lift the choice");
    if (!now.choosable.includes(row.name)) return "";
    return make("button", { type: "button", onclick: () => choose(row.name) }, "Put first");
  };
  put("gateways", [now.providers, now.status.providers, now.choice, now.choosable], () =>
    table([
      { head: "Gateway", cell: (row) => [gateway(row.name), " ", make("small", {}, channel(row.channel) + (states[row.name]?.primary ? ", primary" : ""))] },
      { head: "State", cell: (row) => pill(states[row.name]?.state ?? "gone", STATES[states[row.name]?.state] ?? "not configured") },
      { head: "Traffic now", label: "Traffic", cell: (row) => traffic(row, states[row.name]?.state, chosen) },
      { head: "Sent", n: true, cell: (row) => count(row.sent) },
      { head: "Got in", cell: (row) => share(ratio(row.verified, row.codes_sent)) },
      { head: "Delivered", n: true, cell: (row) => row.reports
        ? [count(row.delivered), " ", make("small", {}, percent(ratio(row.delivered, row.sent)))] : make("small", {}, "reports nothing") },
      { head: "Failed", n: true, cell: (row) => make("span", { class: row.failed > row.sent * 0.1 && row.failed > 2 ? "bad" : null }, count(row.failed)) },
      { head: "No answer", n: true, cell: (row) => make("span", { class: row.unknown > row.sent * 0.1 && row.unknown > 2 ? "bad" : null }, count(row.unknown)) },
      { head: "Answers in", n: true, cell: (row) => [seconds(row.latency.p50), " ", make("small", {}, `95%: ${seconds(row.latency.p95)}`)], label: "Answers" },
      { head: "", label: "", span: true, cell: act },
    ], now.providers, { caption: "Gateways" }));
}

export function countries(now) {
  const spent = Object.fromEntries(now.spend.countries.map((one) => [one.country, one]));
  put("countries", [now.countries, now.spend.countries], () =>
    now.countries.length ? table([
      { head: "Country", cell: (row) => country(row.country) },
      { head: "Asked", n: true, cell: (row) => count(row.requested) },
      { head: "Got in", cell: (row) => share(row.conversion) },
      { head: "Sent", n: true, cell: (row) => count(row.sent) },
      { head: "Failed", n: true, cell: (row) => make("span", { class: row.failed > row.sent * 0.1 && row.failed > 2 ? "bad" : null }, count(row.failed)) },
      { head: "Today", n: true, cell: (row) => cash(spent[row.country]?.today ?? 0) },
    ], now.countries.slice(0, 40), { caption: "Countries" }) : empty("Nobody asked for a code."));
}

export function refusals(now) {
  const most = Math.max(1, ...now.refusals.map((one) => one.count));
  put("refusals", now.refusals, () =>
    now.refusals.length ? make("ul", { class: "list" }, ...now.refusals.slice(0, 8).map((one) =>
      make("li", {}, make("span", {}, refusal(one.code, one.scope)), make("b", {}, count(one.count)), bar(one.count / most, "")),
    )) : empty("Nobody was turned away."));
  put("held", now.held, () =>
    now.held.length ? make("ul", { class: "list" }, ...now.held.slice(0, 12).map((one) =>
      make("li", {},
        make("span", {}, subject(one.kind, one.subject), " ",
          make("small", {}, `${one.reason.replaceAll("_", " ")}${one.until ? `, until ${clock(one.until)}` : ""}`)),
        pill(one.state, one.mode === "enforce" ? STATES[one.state] : `would be ${STATES[one.state]}`)),
    )) : empty("Nothing."));
}

export function failures(now) {
  put("failures", now.failures, () =>
    now.failures.length ? table([
      { head: "Gateway", cell: (row) => [gateway(row.provider), " ", make("small", {}, channel(row.channel))] },
      { head: "What", cell: (row) => row.kind.replaceAll("_", " ") },
      { head: "Its code", cell: (row) => row.code || "–" },
      { head: "Tries", n: true, cell: (row) => count(row.count) },
    ], now.failures, { caption: "Tries that failed" }) : empty("None."));
}

export function spend(now) {
  const { spend: money } = now;
  const line = (name, today, limit) =>
    make("li", {}, make("span", {}, name), make("b", {}, limit ? `${cash(today)} of ${cash(limit)}` : cash(today)),
      limit ? bar(today / limit, percent(today / limit), today >= limit ? "bad" : today > limit * 0.8 ? "warn" : null) : null);
  put("spend", [money, now.window_seconds], () => make("ul", { class: "list" },
    line("All countries", money.today, money.daily_limit),
    ...money.countries.slice(0, 8).map((one) => line(country(one.country), one.today, one.daily_limit)),
    line("In the window shown", money.window, 0)));
}

export function blocks(now, lift) {
  const { entries, total } = now.blocks;
  put("block-count", total, () => (total ? `${count(total)} in force` : ""));
  put("blocks", entries, () =>
    entries.length ? table([
      { head: "Blocked", cell: (row) => [row.value, " ", make("small", {}, row.type)] },
      { head: "Why", span: true, cell: (row) => row.note || "–" },
      { head: "By", cell: (row) => row.created_by },
      { head: "Since", cell: (row) => ago(row.created_at) },
      { head: "Until", cell: (row) => (row.expires_at ? clock(row.expires_at) : "until lifted") },
      { head: "", label: "", span: true, cell: (row) => make("button", { type: "button", onclick: () => lift(row) }, "Lift…") },
    ], entries, { caption: "Block list" }) : empty("Nothing is blocked."));
}

export function numbers(now) {
  const cell = (name) => ({ head: name.replace("_", " "), n: true, cell: (row) => count(row[name]) });
  put("numbers", now.series, () => table([
    { head: "from", cell: (row) => clock(row.minute) },
    ...["requested", "sent", "delivered", "failed", "verified", "expired", "rate_limited", "blocked"].map(cell),
    { head: "time to log in", n: true, cell: (row) => seconds(row.time_to_login.p50) },
  ], [...now.series].reverse(), { caption: "The charts as numbers, newest first" }));
}
