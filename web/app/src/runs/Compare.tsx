// Runs side by side: what came out, where attention stands, the curves over each other, and what their recipes differ in.
import { bytes, count, duration, fixed, isNumber, layerClass, text } from "../format";
import { address } from "../router";
import { Chart, type Series } from "./chart";
import { reports, rowOf, useRuns } from "./data";
import { Frame } from "./Frame";
import { progressText } from "./Progress";
import { smooth } from "./sections";
import { list, Placed, score, Table, tasksOf, type Column, type Row } from "./table";

interface Run {
  name: string;
  r: Row;
}

export function Compare({ names }: { names: string[] }) {
  useRuns(names);
  const all = names.map((name): Run => ({ name, r: reports.value.get(name) ?? {} }));
  return (
    <Frame title="Runs compared" back={address.runs}>
      <Outcome runs={all} />
      <Curves runs={all} />
      <Steps runs={all} />
      <Blocks runs={all} />
      <Recipes runs={all} />
    </Frame>
  );
}

const lastGain = (r: Row): Row => list(r.gains)[list(r.gains).length - 1] ?? {};
const last = (x: unknown) => list(x)[list(x).length - 1];
const seconds = (r: Row) => Object.values(r.seconds ?? {}).filter(isNumber).reduce((a, b) => a + b, 0);

function Outcome({ runs }: { runs: Run[] }) {
  const full = (r: Row): number[] => (list(r.layers).length ? list(r.layers).flatMap((l, i) => (layerClass(l) === "full" ? [i] : [])) : list(r.placement?.full));
  const size = (r: Row) => list(r.layers).length || r.heat_map?.layers || 0;
  const tasks = tasksOf(runs.map((x) => lastGain(x.r)));
  // The best of a column is marked, where there is one.
  const number = (name: string, of: (r: Row) => unknown, format: (x: unknown) => string, higher = true): Column => {
    const values = runs.map((x) => of(x.r)).filter(isNumber);
    const best = higher ? Math.max(...values) : Math.min(...values);
    const one = values.length > 1 && values.filter((v) => v === best).length === 1;
    return { name, num: true, of: (x) => of(x.r), cell: (x) => <span class={one && of(x.r) === best ? "best" : ""}>{format(of(x.r))}</span> };
  };
  const columns: Column[] = [
    { name: "run", cell: (x) => <><a href={address.run(x.name)}>{x.name}</a>{rowOf(x.name) && !rowOf(x.name)!.finished && <span class="note">{progressText(rowOf(x.name)!)}</span>}</> },
    { name: "so far", of: (x) => lastGain(x.r).step, cell: (x) => text(lastGain(x.r).step) },
    ...tasks.map((t) => number(t, (r) => lastGain(r).accuracy?.[t], (x) => fixed(x))),
    number("loss, nats", (r) => lastGain(r).loss, (x) => fixed(x), false),
    number("cache", (r) => last(r.speed?.hybrid?.cache_bytes) ?? lastGain(r).cache_bytes, bytes, false),
    number("decode, × base", (r) => last(r.speed?.hybrid?.speedup) ?? lastGain(r).speedup, (x) => fixed(x, 2)),
    { name: "full layers", of: (x) => full(x.r).length || null, cell: (x) => (full(x.r).length ? <Placed layers={full(x.r)} n={size(x.r)} /> : "–") },
    { name: "block", of: (x) => x.r.blocks?.chosen, cell: (x) => text(x.r.blocks?.chosen).replace(/_/g, " ") },
    { name: "time", num: true, of: (x) => seconds(x.r) || null, cell: (x) => (seconds(x.r) ? duration(seconds(x.r)) : "–") },
  ];
  return <section><h2>What came out</h2><Table columns={columns} rows={runs} /></section>;
}

const CURVES: [string, (r: Row) => unknown][] = [
  ["Supernet", (r) => r.supernet?.curve],
  ["Stage 1", (r) => r.distill?.stage1?.curve],
  ["Stage 2", (r) => r.distill?.stage2?.curve],
];

function Curves({ runs }: { runs: Run[] }) {
  const drawn = CURVES.map(([title, of]) => ({
    title,
    series: runs.map((x, tone): Series => ({ label: x.name, tone, points: smooth(of(x.r)) })).filter((s) => s.points.length > 1),
  })).filter((c) => c.series.length);
  if (!drawn.length) return null;
  return (
    <section>
      <h2>Training</h2>
      <div class="pair">
        {drawn.map((c) => (
          <div key={c.title}>
            <h3>{c.title}</h3>
            <Chart series={c.series} xLabel="tokens" yLabel="loss" xFormat={count} yFormat={(x) => String(+x.toPrecision(3))} />
          </div>
        ))}
      </div>
    </section>
  );
}

type Figures = Map<string, unknown>;

/// One figure of every run a row, the best of them marked; nothing where no run has any.
function Beside({ runs, of, what, title, higher = true }: { runs: Run[]; of: (r: Row) => Figures; what: string; title: string; higher?: boolean }) {
  const figures = runs.map((x) => of(x.r));
  const keys = [...new Set(figures.flatMap((m) => [...m.keys()]))];
  if (!keys.length) return null;
  const best = (key: string) => {
    const v = figures.map((m) => m.get(key)).filter(isNumber);
    const top = higher ? Math.max(...v) : Math.min(...v);
    return v.length > 1 && v.filter((x) => x === top).length === 1 ? top : null;
  };
  const columns: Column[] = [
    { name: what, cell: (row) => row.key.replace(/_/g, " ") },
    ...runs.map((x, i): Column => ({ name: x.name, num: true, cell: (row) => <span class={figures[i]!.get(row.key) === best(row.key) ? "best" : ""}>{fixed(figures[i]!.get(row.key))}</span> })),
  ];
  return <div><h3>{title}</h3><Table columns={columns} rows={keys.map((key) => ({ key }))} /></div>;
}

function Steps({ runs }: { runs: Run[] }) {
  const of = (value: (g: Row) => unknown) => (r: Row): Figures => new Map(list(r.gains).map((g) => [String(g.step), value(g)]));
  return (
    <section>
      <h2>Step by step</h2>
      <div class="pair">
        <Beside runs={runs} what="step" title="Accuracy, mean of the tasks" of={of((g) => score(g.accuracy))} />
        <Beside runs={runs} what="step" title="Loss, nats per token" of={of((g) => g.loss)} higher={false} />
      </div>
    </section>
  );
}

function Blocks({ runs }: { runs: Run[] }) {
  const best = (r: Row): Figures => {
    const out: Figures = new Map();
    for (const c of list(r.blocks?.candidates)) {
      const x = score(c.accuracy), before = out.get(c.kind);
      if (isNumber(x) && !(isNumber(before) && before >= x)) out.set(String(c.kind), x);
    }
    return out;
  };
  if (!runs.some((x) => best(x.r).size)) return null;
  return <section><h2>Blocks</h2><Beside runs={runs} what="block" title="Accuracy, mean of the tasks" of={best} /></section>;
}

/// {"a": {"b": 1}} -> a.b: 1
function flat(value: unknown, at = "", out = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === "object" && !(Array.isArray(value) && value.every((x) => x === null || typeof x !== "object"))) {
    for (const [k, v] of Object.entries(value)) flat(v, at ? `${at}.${k}` : k, out);
  } else if (at) out.set(at, text(value));
  return out;
}

function Recipes({ runs }: { runs: Run[] }) {
  const recipes = runs.map((x) => flat(x.r.recipe));
  if (recipes.some((m) => m.size === 0)) return null;
  const keys = [...new Set(recipes.flatMap((m) => [...m.keys()]))].filter((k) => new Set(recipes.map((m) => m.get(k))).size > 1);
  const columns: Column[] = [{ name: "setting", key: "key" }, ...runs.map((x, i): Column => ({ name: x.name, cell: (row) => recipes[i]!.get(row.key) ?? "–" }))];
  return (
    <section>
      <h2>Recipes</h2>
      {keys.length ? <Table columns={columns} rows={keys.map((key) => ({ key }))} kind="recipes" /> : <p class="caption">They are alike.</p>}
    </section>
  );
}
