// Placements distilled alike: does the supernet's score predict them, and what is the search worth against even spacing?
import { count, fixed, isNumber, text } from "../format";
import { Chart, type Point, type Series } from "./chart";
import { Bar, descending, list, Placed, Table, tasksOf, topOf, type Column, type Row } from "./table";

const of = (task: string, x: Row | undefined): Row => (task === "loss" ? x?.loss : x?.tasks?.[task]) ?? {};

function GainByCount({ v, n }: { v: Row; n: number }) {
  const curve = list(v.curve);
  const tasks = [...tasksOf(curve.flatMap((p) => [p.searched ?? {}, p.uniform ?? {}]), "tasks"), "loss"];
  const line = (task: string, which: string, plain = false): Series => {
    const at = curve.filter((p) => isNumber(of(task, p[which]).mean));
    return { label: which, plain, dots: true, points: at.map((p): Point => [p.k, of(task, p[which]).mean]), sd: at.map((p) => of(task, p[which]).sd || 0) };
  };
  const rows = curve.flatMap((p) => [{ k: p.k, which: "searched", ...p.searched }, { which: "uniform", ...p.uniform }]);
  const columns: Column[] = [
    { name: "full", num: true, cell: (x) => (isNumber(x.k) ? String(x.k) : "") },
    { name: "", cell: (x) => x.which },
    { name: "layers", cell: (x) => <Placed layers={list(x.layers)} n={n} /> },
    ...tasks.map((t): Column => ({ name: t, num: true, cell: (x) => `${fixed(of(t, x).mean)} ± ${fixed(of(t, x).sd)}` })),
  ];
  return (
    <>
      <h3>What the search is worth</h3>
      <p class="caption">Searched against evenly spaced layers at every number of them, distilled alike, {text(v.seeds)} seeds: mean ± standard deviation.</p>
      <div class="pair">
        {tasks.map((t) => (
          <Chart key={t} series={[line(t, "uniform", true), line(t, "searched")]} xTicks={curve.map((p) => [p.k, String(p.k)])} xLabel="layers with full attention" yLabel={t === "loss" ? "loss, nats" : t} xFormat={String} yFormat={(x) => x.toFixed(2)} />
        ))}
      </div>
      <Table columns={columns} rows={rows} />
    </>
  );
}

function Prediction({ v, n }: { v: Row; n: number }) {
  const rows = [...list(v.rows)].sort(descending("accuracy"));
  const top = topOf(rows.map((x) => x.accuracy));
  const columns: Column[] = [
    { name: "full layers", cell: (x) => <Placed layers={list(x.layers)} n={n} /> },
    { name: "chosen by", cell: (x) => list(x.chosen_by).join(", ") || <span class="note">drawn</span> },
    { name: "supernet", key: "supernet", num: true, cell: (x) => fixed(x.supernet) },
    { name: "distilled", key: "accuracy", num: true, cell: (x) => <><Bar share={x.accuracy / top} plain />{`${fixed(x.accuracy)} ± ${fixed(x.accuracy_sd)}`}</> },
    { name: "loss", key: "loss", num: true, cell: (x) => `${fixed(x.loss)} ± ${fixed(x.loss_sd)}` },
  ];
  return (
    <>
      <p class="caption">
        Each placement distilled alike, {text(v.seeds)} seeds; mean ± standard deviation. Rank correlation of the supernet's score with {text(v.objective)} after distillation {fixed(v.spearman)}, with held-out loss {fixed(v.spearman_loss)}.
      </p>
      <Table columns={columns} rows={rows} />
      {list(v.samplings).length > 0 && (
        <>
          <h3>What paths the supernet is trained on</h3>
          <p class="caption">At equal tokens: rank correlation of its scores with those after distillation, of the answers' losses, and of its scores with held-out loss.</p>
          <Table
            columns={[
              { name: "paths", key: "paths" },
              { name: "score", num: true, cell: (x) => fixed(x.spearman) },
              { name: "loss of answers", num: true, cell: (x) => fixed(x.spearman_answers) },
              { name: "held-out loss", num: true, cell: (x) => fixed(x.spearman_loss) },
              { name: "tokens", num: true, cell: (x) => count(x.tokens) },
            ]}
            rows={list(v.samplings)}
          />
        </>
      )}
    </>
  );
}

export function Validation({ r }: { r: Row }) {
  const v: Row = r.validation;
  const n = list(r.layers).length || r.heat_map?.layers || 0;
  return (
    <>
      {list(v.rows).length > 0 && <Prediction v={v} n={n} />}
      {list(v.curve).length > 0 && <GainByCount v={v} n={n} />}
    </>
  );
}
