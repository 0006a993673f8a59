// Line charts, drawn for the width they get, so that type keeps its size.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren, RefObject } from "preact";

export type Point = [number, number];
export interface Series {
  points: Point[];
  sd?: number[];
  label?: string;
  /// Grey, for what is compared against.
  plain?: boolean;
  dots?: boolean;
  /// Another dash pattern and shade where there are several.
  tone?: number;
}
export interface ChartOptions {
  series: Series[];
  xLabel: string;
  yLabel: string;
  xFormat: (x: number) => string;
  yFormat: (y: number) => string;
  xTicks?: [number, string][];
  zero?: boolean;
  binary?: boolean;
  height?: number;
}

export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watch = new ResizeObserver(() => requestAnimationFrame(() => setWidth(Math.round(box.current?.clientWidth ?? 0))));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  return [box, width];
}

export function ticks(lo: number, hi: number, n: number): number[] {
  const raw = (hi - lo) / n || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((x) => x >= raw * 0.999)!;
  const out = [];
  for (let t = Math.ceil(lo / step - 1e-9) * step; t <= hi + step * 1e-6; t += step) out.push(+t.toPrecision(12));
  return out;
}

/// Steps of a power of two, so that bytes are round in KiB and MiB.
function binaryTicks(lo: number, hi: number, n: number): number[] {
  const step = 2 ** Math.ceil(Math.log2((hi - lo) / n));
  const out = [];
  for (let t = Math.ceil(lo / step) * step; t <= hi; t += step) out.push(t);
  return out;
}

function range(values: number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

function frame(o: ChartOptions, width: number) {
  const height = o.height ?? 220;
  let [x0, x1] = range(o.series.flatMap((s) => s.points.map((p) => p[0])));
  let [y0, y1] = range(o.series.flatMap((s) => s.points.flatMap((p, i) => [p[1] - (s.sd?.[i] ?? 0), p[1] + (s.sd?.[i] ?? 0)])));
  if (o.zero) y0 = Math.min(0, y0);
  if (x1 === x0) [x0, x1] = [x0 - 0.5, x1 + 0.5];
  if (y1 === y0) [y0, y1] = [y0 - (Math.abs(y0) * 0.05 || 0.5), y1 + (Math.abs(y1) * 0.05 || 0.5)];
  const room = (y1 - y0) * 0.04;
  y1 += room;
  if (!o.zero) y0 -= room;
  const yTicks = (o.binary ? binaryTicks : ticks)(y0, y1, 4);
  const longest = Math.max(0, ...o.series.map((s) => s.label?.length ?? 0));
  const m = { l: 14 + 7 * Math.max(1, ...yTicks.map((t) => o.yFormat(t).length)), r: longest ? 16 + 7 * Math.min(longest, 14) : 14, t: 26, b: 40 };
  const X = (x: number) => m.l + ((x - x0) / (x1 - x0)) * (width - m.l - m.r);
  const Y = (y: number) => height - m.b - ((y - y0) / (y1 - y0)) * (height - m.t - m.b);
  const xTicks = o.xTicks ?? ticks(x0, x1, Math.max(2, Math.floor(width / 130))).map((t): [number, string] => [t, o.xFormat(t)]);
  return { height, m, X, Y, xTicks, yTicks };
}

export function Chart(o: ChartOptions) {
  const [box, width] = useWidth();
  const drawn = o.series.filter((s) => s.points.length);
  return <div class="chart" ref={box}>{width > 0 && drawn.length > 0 && <Drawing {...o} series={drawn} width={width} />}</div>;
}

function Drawing({ width, ...o }: ChartOptions & { width: number }) {
  const { height, m, X, Y, xTicks, yTicks } = frame(o, width);
  return (
    <svg viewBox={`0 0 ${width} ${height}`} height={height} role="img" aria-label={`${o.yLabel} against ${o.xLabel}`}>
      {yTicks.map((t) => (
        <g key={t}>
          <line class="grid" x1={m.l} x2={width - m.r} y1={Y(t)} y2={Y(t)} />
          <text x={m.l - 8} y={Y(t) + 4} text-anchor="end">{o.yFormat(t)}</text>
        </g>
      ))}
      {xTicks.map(([t, name]) => <text key={t} x={X(t)} y={height - m.b + 18} text-anchor="middle">{name}</text>)}
      <text class="strong" x={0} y={12}>{o.yLabel}</text>
      <text x={width - m.r} y={height - 4} text-anchor="end">{o.xLabel}</text>
      {o.series.map((s, i) => <Line key={i} s={s} X={X} Y={Y} format={o.yFormat} />)}
      {endLabels(o.series, Y).map((e) => (
        <text key={e.text} class={e.cls} x={width - m.r + 8} y={e.y + 4}>{e.text}</text>
      ))}
    </svg>
  );
}

const classOf = (s: Series) => (s.tone !== undefined ? ` tone${s.tone % 6}` : s.plain ? " plain" : "");

function Line({ s, X, Y, format }: { s: Series; X: (x: number) => number; Y: (y: number) => number; format: (y: number) => string }): ComponentChildren {
  const at = s.points.map(([x, y]) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`).join(" ");
  return (
    <g>
      <polyline class={"line" + classOf(s)} points={at} />
      {s.sd && s.points.map(([x, y], i) => <line class={"line" + classOf(s)} x1={X(x)} x2={X(x)} y1={Y(y - s.sd![i]!)} y2={Y(y + s.sd![i]!)} />)}
      {(s.dots || s.points.length === 1) && s.points.map(([x, y]) => (
        <circle class={"dot" + classOf(s)} cx={X(x)} cy={Y(y)} r="4"><title>{`${s.label ?? ""} ${format(y)}`.trim()}</title></circle>
      ))}
    </g>
  );
}

/// Names at the lines' ends, moved apart where they would lie on each other.
function endLabels(series: Series[], Y: (y: number) => number) {
  const ends = series.filter((s) => s.label).map((s) => ({
    text: s.label!.length > 14 ? s.label!.slice(0, 13) + "…" : s.label!,
    y: Y(s.points[s.points.length - 1]![1]),
    cls: s.tone !== undefined ? `tone${s.tone % 6}` : s.plain ? undefined : "accent",
  }));
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((e, i) => {
    const above = ends[i - 1];
    if (above && e.y - above.y < 15) e.y = above.y + 15;
  });
  return ends;
}
