// The report's tables and curves. A section is shown once its key is in the report.
import type { ComponentChildren } from "preact";
import { bytes, context, count, duration, fixed, isNumber, rate, round, signed, text } from "../format";
import { Chart, type Point } from "./chart";
import { HeatMap } from "./heat";
import { Placement } from "./placement";
import { Bar, isObject, list, score, Table, tasksOf, topOf, type Column, type Row } from "./table";
import { Validation } from "./validation";

/// Batches are small and their losses noisy: at most 30 points, each the mean of its share of the curve.
export function smooth(curve: unknown): Point[] {
  const raw = list(curve).filter((p) => isNumber(p?.[0]) && isNumber(p?.[1])) as Point[];
  const k = Math.max(1, Math.ceil(raw.length / 30));
  const out: Point[] = [];
  for (let i = 0; i < raw.length; i += k) {
    const part = raw.slice(i, i + k);
    out.push([part[part.length - 1]![0], part.reduce((a, p) => a + p[1], 0) / part.length]);
  }
  return out;
}

function LossCurve({ stage, title }: { stage: Row; title?: string }) {
  const points = smooth(stage.curve);
  const facts = [
    isNumber(stage.tokens) ? count(stage.tokens) + " tokens" : "",
    stage.lr !== undefined ? "learning rate " + rate(stage.lr) : "",
    points.length ? `loss ${fixed(points[0]![1])} to ${fixed(points[points.length - 1]![1])}` : "",
  ];
  return (
    <div>
      {title && <h3>{title}</h3>}
      <p class="caption">{facts.filter(Boolean).join(", ")}</p>
      {points.length > 1 && <Chart series={[{ points }]} xLabel="tokens" yLabel="loss" xFormat={count} yFormat={(x) => String(+x.toPrecision(3))} />}
    </div>
  );
}

function Gains({ r }: { r: Row }) {
  const rows = list(r.gains);
  const number = (of: (r: Row) => unknown, name: string, format: (x: unknown) => string, digits?: number, lower = false): Column => {
    const top = topOf(rows.map(of));
    const cell = (row: Row, i: number) => {
      const x = of(row);
      const before = i ? of(rows[i - 1]) : undefined;
      const moved = isNumber(x) && isNumber(before) && x !== before;
      const change = !moved ? "" : digits !== undefined ? signed(x - before, digits) : before > 0 ? signed(100 * (x / before - 1), 0) + " %" : "";
      return <>{isNumber(x) && <Bar share={digits !== undefined && !lower ? x : x / top} plain={lower} />}{format(x)}<span class="delta">{change || "\u00a0"}</span></>;
    };
    return { name, of, num: true, cell };
  };
  const columns: Column[] = [
    { name: "step", cell: (x) => <>{x.step}{x.note && <span class="note">{x.note}</span>}</> },
    ...tasksOf(rows).map((t) => number((x) => x.accuracy?.[t], t, fixed, 3)),
    number((x) => x.loss, "loss, nats", fixed, 3, true),
    number((x) => x.cache_bytes, "cache", bytes, undefined, true),
    number((x) => x.speedup, "decode, × base", (x) => fixed(x, 2)),
  ];
  return <Table columns={columns} rows={rows} kind="gains" />;
}

function Blocks({ r }: { r: Row }) {
  const rows = list(r.blocks.candidates);
  const value = (x: Row) => (isNumber(x.score) ? x.score : (score(x.accuracy) ?? -Infinity));
  const best: Record<string, Row> = {};
  for (const x of rows) if (!best[x.kind] || value(x) > value(best[x.kind]!)) best[x.kind] = x;
  const winners = Object.values(best).sort((a, b) => value(b) - value(a));
  const others = rows.filter((x) => best[x.kind] !== x);
  const top = topOf(rows.map(value));
  const chosen = r.blocks.chosen;
  const columns: Column[] = [
    { name: "block", cell: (x) => <>{String(x.kind).replace(/_/g, " ")}{x.diverged && <span class="note">diverged</span>}</> },
    { name: "lr", key: "lr", num: true, cell: (x) => rate(x.lr) },
    ...tasksOf(rows).map((t): Column => ({ name: t, num: true, cell: (x) => fixed(x.accuracy?.[t]) })),
    { name: "loss", key: "loss", num: true, cell: (x) => fixed(x.loss) },
    { name: "train tok/s", key: "train_tps", num: true, cell: (x) => round(x.train_tps) },
    { name: "decode, × base", key: "speedup", num: true, cell: (x) => fixed(x.speedup, 2) },
    { name: "cache", key: "cache_bytes", num: true, cell: (x) => bytes(x.cache_bytes) },
    { name: "seeds", key: "seeds", num: true },
    { name: "spread", key: "spread", num: true, cell: (x) => fixed(x.spread) },
    { name: "score", key: "score", num: true, cell: (x) => <><Bar share={x.score / top} plain={x.kind !== chosen} />{fixed(x.score)}</> },
  ];
  const start = r.blocks.start;
  const curve = (x: Row, label: string, plain = false) => ({ label, plain, points: smooth(x?.curve) });
  return (
    <>
      <p class="caption">{others.length ? "Each block at its best learning rate. " : ""}{chosen ? `Chosen: ${text(chosen).replace(/_/g, " ")}.` : ""}</p>
      <Table columns={columns} rows={winners} rowClass={(x) => (x.kind === chosen ? "chosen" : "")} />
      {start && (
        <>
          <h3>What the start is worth</h3>
          <p class="caption">The chosen block from the attention's own q, k, v, o and from random values, trained alike.</p>
          <Chart series={[curve(start.random, "random", true), curve(start.inherited, "inherited")]} xLabel="tokens" yLabel="distillation loss" xFormat={count} yFormat={(x) => fixed(x)} />
        </>
      )}
      {others.length > 0 && (
        <details>
          <summary>the other {others.length} learning rates</summary>
          <Table columns={columns} rows={others.sort((a, b) => String(a.kind).localeCompare(b.kind) || a.lr - b.lr)} />
        </details>
      )}
    </>
  );
}

function Dimensions({ r }: { r: Row }) {
  const d: Row = r.dimensions;
  const rows = list(d.candidates).sort((a, b) => (score(b.accuracy) ?? 0) - (score(a.accuracy) ?? 0));
  const top = topOf(rows.map((x) => score(x.accuracy)));
  const chosen = (x: Row) => isObject(d.chosen) && x.heads === d.chosen.heads && x.dk === d.chosen.dk && x.dv === d.chosen.dv && x.conv === d.chosen.conv;
  const columns: Column[] = [
    { name: "heads × dK × dV", cell: (x) => `${x.heads} × ${x.dk} × ${x.dv}` },
    { name: "accuracy", num: true, cell: (x) => <><Bar share={(score(x.accuracy) ?? 0) / top} plain={!chosen(x)} />{fixed(score(x.accuracy))}</> },
    { name: "loss", key: "loss", num: true, cell: (x) => fixed(x.loss) },
    { name: "× base", key: "speedup", num: true, cell: (x) => fixed(x.speedup, 2) },
    { name: "predicted", key: "predicted_speedup", num: true, cell: (x) => fixed(x.predicted_speedup, 2) },
    { name: "cache", key: "cache_bytes", num: true, cell: (x) => bytes(x.cache_bytes) },
  ];
  return (
    <>
      <p class="caption">Heads × key size × value size at a constant state{isNumber(d.context) ? `; decode speed over the base's after ${context(d.context)} tokens.` : "."}</p>
      <Table columns={columns} rows={rows.filter((x) => isNumber(x.heads))} rowClass={(x) => (chosen(x) ? "chosen" : "")} />
    </>
  );
}

function Speed({ r }: { r: Row }) {
  const v: Row = r.speed;
  const contexts: number[] = list(v.contexts);
  const line = (key: string, of: string, plain = false) => ({ label: of, plain, dots: true, points: list(v[of]?.[key]).map((y, i): Point => [i, y]).filter((p) => isNumber(p[1])) });
  const one = (key: string, yLabel: string, yFormat: (x: number) => string, binary = false) => (
    <Chart series={[line(key, "base", true), line(key, "hybrid")]} xTicks={contexts.map((c, i) => [i, context(c)])} xLabel="tokens of context" yLabel={yLabel} xFormat={String} yFormat={yFormat} zero binary={binary} />
  );
  return (
    <>
      <p class="caption">One sequence, after so many tokens of context.</p>
      <div class="pair">{one("decode_tps", "decode, tokens/s", round)}{one("cache_bytes", "cache of one sequence", bytes, true)}</div>
    </>
  );
}

function Supernet({ r }: { r: Row }) {
  const { align } = r.supernet as Row;
  if (!isObject(align)) return <LossCurve stage={r.supernet} />;
  return (
    <div class="pair">
      <LossCurve stage={align} title="Branches aligned with the attention that they replace" />
      {list(r.supernet.curve).length > 0 && <LossCurve stage={r.supernet} title="Random paths" />}
    </div>
  );
}

function Distill({ r }: { r: Row }) {
  const stages = Object.entries(r.distill).filter(([, v]) => isObject(v)) as [string, Row][];
  return <div class="pair">{stages.map(([name, v]) => <LossCurve key={name} stage={v} title={name.replace(/^stage(\d)$/, "Stage $1")} />)}</div>;
}

function Ablations({ r }: { r: Row }) {
  const rows = list(r.final.ablations);
  const nothing = { name: "nothing", accuracy: Object.fromEntries(Object.entries(r.final.tasks ?? {}).map(([t, x]) => [t, (x as Row).accuracy])), loss: r.final.loss };
  const columns: Column[] = [
    { name: "left out", cell: (x) => String(x.name).replace(/ off$/, "") },
    ...tasksOf(rows).map((t): Column => ({ name: t, num: true, cell: (x) => fixed(x.accuracy?.[t]) })),
    { name: "loss, nats", key: "loss", num: true, cell: (x) => fixed(x.loss) },
  ];
  return (
    <>
      <p class="caption">The trained model with the outputs of all mixers of a kind at zero.</p>
      <Table columns={columns} rows={[nothing, ...rows]} kind="auto" />
    </>
  );
}

function Base({ r }: { r: Row }) {
  const tasks = Object.entries(r.base.tasks ?? {}).map(([name, t]) => ({ name, ...(t as Row) }));
  const losses = Object.entries(r.base.losses ?? {}).map(([name, loss]) => ({ name, loss }));
  const top = topOf(losses.map((l) => l.loss));
  return (
    <>
      {isNumber(r.base.parameters) && <p class="caption">{count(r.base.parameters)} parameters</p>}
      <div class="pair">
        {tasks.length > 0 && <Table rows={tasks} columns={[{ name: "task", key: "name" }, { name: "accuracy", num: true, cell: (t) => `${fixed(t.accuracy)} ± ${fixed(t.stderr)}` }, { name: "items", key: "total", num: true }]} />}
        {losses.length > 0 && <Table rows={losses} columns={[{ name: "held-out text", key: "name" }, { name: "nats per token", num: true, cell: (l) => <><Bar share={l.loss / top} plain />{fixed(l.loss, 2)}</> }]} />}
      </div>
    </>
  );
}

function TheRun({ r }: { r: Row }) {
  const seconds = Object.entries(r.seconds ?? {}).filter(([, x]) => isNumber(x)) as [string, number][];
  const total = seconds.reduce((a, [, x]) => a + x, 0);
  const facts = ([["machine", r.machine], ["versions", r.versions && text(r.versions)], ["seeds", r.seeds && text(r.seeds)], ["command", r.command]] as [string, unknown][]).filter(([, v]) => v);
  return (
    <>
      <dl class="facts">{facts.map(([k, v]) => <><dt>{k}</dt><dd>{String(v)}</dd></>)}</dl>
      {total > 0 && (
        <>
          <h3>Time, {duration(total)} so far{r.peak_bytes && ", and the most memory at once"}</h3>
          <div class="spent">{seconds.map(([k, x]) => <><span>{k.replace(/_/g, " ")}</span><Bar share={x / topOf(seconds.map((s) => s[1]))} plain /><span class="sub">{[duration(x), isNumber(r.peak_bytes?.[k]) && bytes(r.peak_bytes[k])].filter(Boolean).join(" · ")}</span></>)}</div>
        </>
      )}
      {r.recipe && (
        <details>
          <summary>recipe</summary>
          <pre>{typeof r.recipe === "string" ? r.recipe : JSON.stringify(r.recipe, null, 2)}</pre>
        </details>
      )}
    </>
  );
}

const Notes = ({ r }: { r: Row }) => <ul class="notes">{list(r.notes).map((n) => <li>{text(n)}</li>)}</ul>;

export interface Section {
  id: string;
  /// Whose result it shows.
  stage?: string;
  title: string;
  has: (r: Row) => unknown;
  Draw: (p: { r: Row }) => ComponentChildren;
}

export const SECTIONS: Section[] = [
  { id: "gains", title: "What each step gave", has: (r) => list(r.gains).length, Draw: Gains },
  { id: "notes", title: "Remarks", has: (r) => list(r.notes).length, Draw: Notes },
  { id: "speed", title: "Speed and memory", has: (r) => list(r.speed?.contexts).length, Draw: Speed },
  { id: "heat", stage: "heat_map", title: "Which layers matter", has: (r) => r.heat_map, Draw: HeatMap },
  { id: "placement", stage: "placement", title: "Placement of full attention", has: (r) => r.placement, Draw: Placement },
  { id: "validation", stage: "validation", title: "Placements, distilled", has: (r) => r.validation, Draw: Validation },
  { id: "blocks", stage: "blocks", title: "Choice of the linear block", has: (r) => list(r.blocks?.candidates).length, Draw: Blocks },
  { id: "dimensions", stage: "dimensions", title: "Dimensions for this machine", has: (r) => list(r.dimensions?.candidates).length, Draw: Dimensions },
  { id: "supernet", stage: "supernet", title: "Supernet", has: (r) => r.supernet, Draw: Supernet },
  { id: "distill", stage: "distill", title: "Distillation", has: (r) => isObject(r.distill), Draw: Distill },
  { id: "ablations", title: "What each kind of layer does", has: (r) => list(r.final?.ablations).length, Draw: Ablations },
  { id: "base", stage: "base", title: "Base model", has: (r) => r.base, Draw: Base },
  { id: "run", title: "The run", has: (r) => r.recipe || r.seconds || r.command, Draw: TheRun },
];
