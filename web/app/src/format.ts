// Numbers as the report's page writes them.
const DASH = "–";
const MINUS = "−";

export const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
export const trim = (x: number) => x.toFixed(1).replace(/\.0$/, "");
export const fixed = (x: unknown, digits = 3) => (isNumber(x) ? x.toFixed(digits).replace("-", MINUS) : DASH);
export const signed = (x: number, digits = 3) => (x > 0 ? "+" : x < 0 ? MINUS : "±") + Math.abs(x).toFixed(digits);
export const whole = (x: unknown) => (isNumber(x) ? Math.round(x).toLocaleString("en") : DASH);

export function round(x: unknown): string {
  if (!isNumber(x)) return DASH;
  return Math.abs(x) >= 100 ? whole(x) : Math.abs(x) >= 10 ? trim(x) : String(+x.toPrecision(3));
}

export function count(x: unknown): string {
  if (!isNumber(x)) return DASH;
  if (x >= 1e9) return +(x / 1e9).toPrecision(3) + " G";
  if (x >= 1e6) return +(x / 1e6).toPrecision(3) + " M";
  return x >= 1e4 ? +(x / 1e3).toPrecision(3) + " k" : round(x);
}

export function bytes(x: unknown): string {
  if (!isNumber(x)) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let u = 0;
  while (x >= 1024 && u < 4) {
    x /= 1024;
    ++u;
  }
  return (x >= 100 ? Math.round(x) : trim(x)) + " " + units[u];
}

export function duration(x: unknown): string {
  if (!isNumber(x)) return DASH;
  const seconds = Math.round(x);
  const minutes = Math.round(x / 60);
  if (seconds < 60) return (x < 10 ? trim(x) : seconds) + " s";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

export const milliseconds = (ms: unknown) => (!isNumber(ms) ? DASH : ms < 1000 ? `${Math.round(ms)} ms` : duration(ms / 1000));
export const context = (x: number) => (x >= 1024 && x % 1024 === 0 ? x / 1024 + "K" : whole(x));
export const rate = (x: unknown) => (!isNumber(x) ? DASH : x === 0 || x >= 0.01 ? String(x) : x.toExponential().replace("-", MINUS));

export function text(v: unknown): string {
  if (v === null || v === undefined) return DASH;
  if (Array.isArray(v)) return v.map(text).join(", ");
  if (typeof v === "object") return Object.entries(v).map(([k, x]) => `${k} ${text(x)}`).join(", ");
  return isNumber(v) && !Number.isInteger(v) ? round(v) : String(v);
}

/// 0, 2, 5–9
export function ranges(layers: number[]): string {
  const runs: [number, number][] = [];
  for (const l of layers) {
    const last = runs[runs.length - 1];
    if (last && last[1] === l - 1) last[1] = l;
    else runs.push([l, l]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}, ${b}` : a + DASH + b)).join(", ");
}

export const layerClass = (label: string) =>
  /^(attention|full)/.test(label) ? "full" : /^(swa|window)/.test(label) ? "swa" : /^none/.test(label) ? "none" : "linear";
