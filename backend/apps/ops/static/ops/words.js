// How numbers, times and names are written for a person. It must not know the page.

const regions = new Intl.DisplayNames(["en"], { type: "region" });
const whole = new Intl.NumberFormat("en");
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const DAY_MS = 86_400_000;

export const count = (value) => whole.format(value);
export const cash = (value) => money.format(value);
export const percent = (share) => (share === null ? "–" : `${Math.round(share * 100)}%`);
export const ratio = (part, all) => (all ? part / all : null);

export function country(code) {
  if (code === "ZZ") return "No country";
  try {
    return regions.of(code);
  } catch {
    return code;
  }
}

export function clock(iso) {
  const at = new Date(iso);
  return (Math.abs(Date.now() - at) > DAY_MS / 2 ? day : hour).format(at);
}

export function ago(iso) {
  const minutes = Math.round((Date.now() - new Date(iso)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 90) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function span(step) {
  if (step < 3600) return step === 60 ? "per minute" : `per ${step / 60} minutes`;
  return step === 3600 ? "per hour" : `per ${step / 3600} hours`;
}

const GATEWAYS = { whatsapp: "WhatsApp (Meta)" };
export const gateway = (name) => GATEWAYS[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
export const channel = (name) => ({ sms: "SMS", whatsapp: "WhatsApp" })[name] ?? name;

// `{EG}` is a country and `{@2026-01-31T12:00:00Z}` a time, in the sentences that the service makes.
export const told = (sentence) =>
  sentence.replace(/\{([A-Z]{2})\}/g, (_, code) => country(code)).replace(/\{@([^}]+)\}/g, (_, iso) => clock(iso));

export const STATES = {
  up: "up", cooling: "cooling", demoted: "demoted", misconfigured: "misconfigured", forced: "put first",
  doubted: "in doubt", exploring: "in doubt", slow: "slowed", paused: "paused", probation: "on probation",
};

// Whom the guard holds back.
export function subject(kind, name) {
  if (kind === "budget") return name === "*" ? "The day's budget" : `The budget of ${country(name)}`;
  return kind === "country" ? country(name) : `${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${name}`;
}

const SCOPES = { phone: "per number", ip: "per address", device: "per device", global: "of the whole service" };
const LANES = { phone: "by number alone", challenge: "of one challenge", device: "of a known device" };
const LANE_LIMITS = { early: "too fast", day: "in a day", shut: "lane is shut" };
const REFUSALS = {
  rate_limited: "Send or guess limit", resend_cooldown: "Asked again too soon", too_many_attempts: "Too many wrong codes",
  blocked: "Block list", country_not_allowed: "Country not allowed or paused", delivery_failed: "No gateway to send by",
  service_unavailable: "Service unavailable",
};

export function refusal(code, scope) {
  const words = REFUSALS[code] ?? code.replaceAll("_", " ");
  if (!scope) return words;
  if (code === "country_not_allowed" && /^[A-Z]{2}$/.test(scope)) return `${words}: ${country(scope)}`;
  if (code === "too_many_attempts") {
    const [lane, limit] = scope.split("_");
    return [words, LANES[lane] ?? lane, LANE_LIMITS[limit]].filter(Boolean).join(", ");
  }
  return `${words}, ${SCOPES[scope] ?? scope.replaceAll("_", " ")}`;
}
