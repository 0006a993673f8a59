// Tables with columns that are left out where no row has a value.
import type { ComponentChildren } from "preact";
import { isNumber, ranges, text } from "../format";

export type Row = Record<string, any>;
export interface Column {
  name: string;
  num?: boolean;
  key?: string;
  of?: (r: Row, i: number) => unknown;
  cell?: (r: Row, i: number) => ComponentChildren;
}

const given = (x: unknown) => x !== undefined && x !== null && x !== "";

export function Table({ columns, rows, rowClass, kind = "" }: { columns: Column[]; rows: Row[]; rowClass?: (r: Row, i: number) => string; kind?: string }) {
  const value = (c: Column, r: Row, i: number) => (c.of ? c.of(r, i) : c.key ? r[c.key] : undefined);
  const used = columns.filter((c) => (!c.key && !c.of) || rows.some((r, i) => given(value(c, r, i))));
  return (
    <div class="scroll">
      <table class={kind}>
        <thead>
          <tr>{used.map((c) => <th class={c.num ? "num" : ""}>{c.name}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((r, i) => (
            <tr class={rowClass?.(r, i)}>
              {used.map((c) => <td class={c.num ? "num" : ""}>{c.cell ? c.cell(r, i) : text(value(c, r, i))}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export const Bar = ({ share, plain = false }: { share: number | null | undefined; plain?: boolean }) => (
  <span class={plain ? "share plain" : "share"}><i style={{ width: `${(100 * Math.max(0, Math.min(1, share || 0))).toFixed(1)}%` }} /></span>
);

/// The layers that are full, as a small map and in numbers.
/// Of most layers of many, those that are left out are named.
export function Placed({ layers, n }: { layers: number[]; n: number }) {
  const all = Math.max(n, ...layers.map((l) => l + 1), 0);
  const others = Array.from({ length: all }, (_, i) => i).filter((i) => !layers.includes(i));
  const named = layers.length > all / 2 && others.length > 0 ? "all but " + ranges(others) : ranges(layers);
  return (
    <>
      <span class={all > 16 ? "mini many" : "mini"} title={"layers " + ranges(layers)}>
        {Array.from({ length: all }, (_, i) => <i class={layers.includes(i) ? "full" : "linear"} />)}
      </span>
      {all > 16 ? <span class="note">{named}</span> : " " + ranges(layers)}
    </>
  );
}

export const list = (x: unknown): any[] => (Array.isArray(x) ? x : []);
export const isObject = (x: unknown): x is Row => x !== null && typeof x === "object" && !Array.isArray(x);
export const mean = (v: unknown[]) => {
  const n = v.filter(isNumber);
  return n.length ? n.reduce((a, b) => a + b, 0) / n.length : null;
};
export const score = (a: unknown): number | null => (isObject(a) ? mean(Object.values(a)) : isNumber(a) ? a : null);
export const tasksOf = (rows: Row[], key = "accuracy") => [...new Set(rows.flatMap((r) => Object.keys(r[key] ?? {})))];
export const topOf = (values: unknown[]) => Math.max(1e-9, ...values.filter(isNumber));
export const descending = (key: string) => (a: Row, b: Row) => (b[key] ?? -Infinity) - (a[key] ?? -Infinity);
