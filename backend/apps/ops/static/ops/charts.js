// The four charts, drawn by uPlot in the page's own colours, with the events as lines across all of them.
// It must not know where the numbers come from.

import { clock, count, seconds } from "./words.js";

const uPlot = window.uPlot;
const together = uPlot.sync("dashboard");
const drawn = new Map();
let marks = [];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const axisTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const axisDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

// Series differ by dash as well as by colour: [label, colour, dash, kind].
const LINES = {
  conversion: [["got in", "green", null, "area"]],
  codes: [["asked", "grey", null, "area"], ["sent", "blue", null], ["delivered", "purple", [6, 4]], ["got in", "green", [2, 3]]],
  waits: [["half of them within", "blue", null, "area"], ["95 of 100 within", "orange", [6, 4]]],
  refused: [["limits", "orange", null, "bars"], ["blocks", "purple", null, "bars"], ["failed tries", "grey", [3, 3]]],
};
const WRITE = {
  conversion: (value) => `${Math.round(value * 100)}%`,
  codes: count,
  waits: seconds,
  refused: count,
};

function eventLines(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const mark of marks) {
    const x = plot.valToPos(mark.at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colour(mark.colour);
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function series(name, [label, tone, dash, kind]) {
  const stroke = colour(tone);
  const line = { label, stroke, width: 2, dash: dash ?? undefined, points: { show: false } };
  line.value = (_, value) => (value === null || value === undefined ? "–" : WRITE[name](value));
  if (name === "waits" || name === "conversion") line.spanGaps = true;
  if (kind === "area") line.fill = `${stroke}22`;
  if (kind === "bars") Object.assign(line, { paths: uPlot.paths.bars({ size: [0.7, 24] }), fill: `${stroke}99`, width: 0 });
  return line;
}

function times(plot, values) {
  const wide = plot.scales.x.max - plot.scales.x.min > 2 * 86_400;
  return values.map((at) => (wide ? axisDay : axisTime).format(new Date(at * 1000)));
}

function options(name, width) {
  const text = colour("soft"), grid = { stroke: colour("grid"), width: 1 };
  const font = "12px system-ui, sans-serif";
  const look = { stroke: text, font, grid, ticks: { show: false } };
  const top = name === "conversion" ? { range: [0, 1] } : { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.08)] };
  return {
    width, height: 200, padding: [10, 8, 0, 0],
    cursor: { sync: { key: together.key }, points: { size: 7 }, drag: { x: false, y: false }, focus: { prox: 24 } },
    legend: { live: true },
    scales: { x: { time: true }, y: top },
    axes: [
      { ...look, size: 26, space: 64, values: times, grid: { show: false } },
      { ...look, size: 50, values: (_, values) => values.map((value) => WRITE[name](value)),
        incrs: name === "codes" || name === "refused" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000] : undefined },
    ],
    series: [{ value: (_, at) => (at ? clock(at * 1000) : "–") }, ...LINES[name].map((one) => series(name, one))],
    hooks: { draw: [eventLines] },
  };
}

function draw(name, values) {
  const place = document.getElementById(`chart-${name}`);
  const known = drawn.get(name);
  if (known) {
    known.setData(values);
  } else {
    drawn.set(name, new uPlot(options(name, place.clientWidth), values, place));
  }
  // Until somebody points at a place, the legend tells the newest.
  requestAnimationFrame(() => drawn.get(name).cursor.left < 0 && drawn.get(name).setLegend({ idx: newest(values) }));
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", spoken(name, values));
}

function newest(values) {
  const last = values[0].length - 1;
  return values.slice(1).some((line) => line[last] !== null) ? last : Math.max(0, ...values.slice(1).map((line) => line.findLastIndex((value) => value !== null)));
}

function spoken(name, values) {
  const parts = LINES[name].map(([label], at) => {
    const newest = values[at + 1].filter((value) => value !== null).at(-1);
    return `${label}: ${newest === undefined ? "nothing" : WRITE[name](newest)}`;
  });
  return `Newest values: ${parts.join(", ")}. All of them are in the table below the charts.`;
}

// A minute says little of a share: five points are taken together. People who asked just now may still be typing.
function conversion(points, now) {
  return points.map((point, at) => {
    if (now - Date.parse(point.minute) < 120_000) return null;
    const some = points.slice(Math.max(0, at - 4), at + 1);
    const opened = some.reduce((sum, one) => sum + one.opened, 0);
    return opened ? some.reduce((sum, one) => sum + one.converted, 0) / opened : null;
  });
}

export function show(points, events, now) {
  marks = events;
  const at = points.map((point) => Date.parse(point.minute) / 1000);
  const of = (pick) => points.map(pick);
  draw("conversion", [at, conversion(points, now)]);
  draw("codes", [at, of((p) => p.requested), of((p) => p.sent), of((p) => p.delivered), of((p) => p.verified)]);
  draw("waits", [at, of((p) => p.time_to_login.p50), of((p) => p.time_to_login.p95)]);
  draw("refused", [at, of((p) => p.rate_limited), of((p) => p.blocked), of((p) => p.failed)]);
}

// Colours and sizes are of the canvas itself: another light or another window means other charts.
export function redraw() {
  for (const [name, plot] of [...drawn]) {
    const values = plot.data;
    plot.destroy();
    drawn.delete(name);
    draw(name, values);
  }
}

export function fit() {
  for (const [name, plot] of drawn) {
    const width = document.getElementById(`chart-${name}`).clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: 200 });
  }
}
