// Which layers keep full attention: the selectors side by side, and the beam's trace.
import { count, fixed, isNumber, ranges, round, text } from "../format";
import { Bar, descending, list, Placed, Table, topOf, type Column, type Row } from "./table";

const layersOf = (r: Row): number => list(r.layers).length || r.heat_map?.layers || 0;

export function Beam({ steps, n }: { steps: Row[]; n: number }) {
  return (
    <div class="pair">
      {steps.map((step, d) => {
        const rows = [...list(step.candidates)].sort(descending("score"));
        const top = topOf(rows.map((x) => x.score));
        const columns: Column[] = [
          { name: "full layers", cell: (x) => <Placed layers={list(x.layers)} n={n} /> },
          { name: "score", num: true, cell: (x) => <><Bar share={x.score / top} plain={!x.kept} />{fixed(x.score)}</> },
          { name: "loss", key: "loss", num: true, cell: (x) => fixed(x.loss) },
          { name: "", cell: (x) => (x.kept ? "kept" : "") },
        ];
        const lost = (x: Row) => (x.kept ? "" : "lost");
        return (
          <div key={d}>
            <h3>Depth {step.depth ?? d + 1}, {rows.length} candidates</h3>
            <Table columns={columns} rows={rows.slice(0, 6)} rowClass={lost} />
            {rows.length > 6 && (
              <details>
                <summary>{rows.length - 6} more</summary>
                <Table columns={columns} rows={rows.slice(6)} rowClass={lost} />
              </details>
            )}
          </div>
        );
      })}
    </div>
  );
}

export function Placement({ r }: { r: Row }) {
  const p: Row = r.placement;
  const n = layersOf(r);
  const selectors = [...list(p.selectors)].sort(descending("score"));
  const top = topOf(selectors.map((x) => x.score));
  const facts = [isNumber(p.k) ? `${p.k} full layers` : "", p.objective ? `chosen by ${text(p.objective)}` : "", isNumber(p.exhaustive_count) ? `rank: among all ${p.exhaustive_count} placements` : ""].filter(Boolean);
  const columns: Column[] = [
    { name: "selector", cell: (x) => <>{x.name}{x.note && <span class="note">{x.note}</span>}</> },
    { name: "full layers", cell: (x) => (list(x.layers).length ? <Placed layers={x.layers} n={n} /> : "–") },
    { name: "score", key: "score", num: true, cell: (x) => <><Bar share={x.score / top} plain={x.name !== p.selector} />{fixed(x.score)}</> },
    { name: "loss", key: "loss", num: true, cell: (x) => fixed(x.loss) },
    { name: "rank", key: "rank", num: true },
    { name: "evaluations", num: true, of: (x) => x.spent?.evaluations, cell: (x) => round(x.spent?.evaluations) },
    { name: "tokens read", num: true, of: (x) => x.spent?.forward_tokens, cell: (x) => count(x.spent?.forward_tokens) },
    { name: "tokens trained", num: true, of: (x) => x.spent?.train_tokens, cell: (x) => count(x.spent?.train_tokens) },
  ];
  const windows = list(p.swa?.trace).filter((s) => s?.candidates);
  return (
    <>
      {facts.length > 0 && <p class="caption">{facts.join("; ")}.</p>}
      {selectors.length > 0 && <Table columns={columns} rows={selectors} rowClass={(x) => (x.name === p.selector ? "chosen" : "")} />}
      {list(p.beam).length > 0 && <Beam steps={p.beam} n={n} />}
      {p.swa && (
        <>
          <h3>Sliding-window attention</h3>
          <p class="caption">{list(p.swa.layers).length ? `Layers ${ranges(p.swa.layers)}.` : "No layer."}</p>
          {windows.length > 0 && <Beam steps={windows} n={n} />}
        </>
      )}
    </>
  );
}
