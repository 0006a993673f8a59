// The heat map: a cell a layer and task. Cells that have not been measured yet are empty, so it fills as the search goes.
import { fixed, isNumber, layerClass } from "../format";
import { useWidth } from "./chart";
import { list, type Row } from "./table";

interface Cell {
  text: string;
  title: string;
  floor?: boolean;
  style: string;
}

const clamp = (x: number) => (Number.isFinite(x) ? Math.max(0, Math.min(1, x)) : 0);
const short = (x: unknown) => (isNumber(x) ? x.toFixed(2).replace(/^0\./, ".") : "");
const nats = (x: number) => (x >= 10 ? x.toFixed(1) : short(x));

const minMax = (row: unknown[], x: number) => {
  const v = row.filter(isNumber);
  const lo = Math.min(...v);
  return clamp((x - lo) / (Math.max(...v) - lo));
};
const blue = (text: string, share: number, title: string): Cell => ({
  text,
  title,
  style: `background:rgba(var(--accent-rgb),${(0.05 + 0.95 * share).toFixed(3)});color:var(${share > 0.55 ? "--on-accent" : "--ink"})`,
});

const lossAt = (m: Row, t: number, i: number) => list(list(m.loss)[t])[i];

/// At the accuracy of all linear layers a cell says nothing of its layer; the loss still does.
function accuracies(m: Row, task: string, t: number): (Cell | null)[] {
  const row = list(m.value[t]);
  const gap = m.all_linear && m.base;
  const floor = gap && isNumber(m.all_linear[task]) ? m.all_linear[task] : Math.min(...row.filter(isNumber));
  const low = (x: unknown, i: number) => isNumber(x) && x <= floor && isNumber(lossAt(m, t, i));
  const losses = row.map((x, i) => (low(x, i) ? lossAt(m, t, i) : null));
  return row.map((x, i) => {
    if (!isNumber(x)) return null;
    const loss = lossAt(m, t, i);
    const title = `${task}, layer ${i}: ${fixed(x)}` + (isNumber(loss) ? `, ${fixed(loss)} nats` : "");
    if (low(x, i)) return { text: nats(loss), title, floor: true, style: `background:rgba(var(--grey-rgb),${(0.06 + 0.44 * (1 - minMax(losses, loss))).toFixed(3)})` };
    return blue(short(x), gap ? clamp((x - m.all_linear[task]) / (m.base[task] - m.all_linear[task])) : minMax(row, x), title);
  });
}

/// The accuracy is at its floor whichever layer is full: the row says nothing.
const isSilent = (row: (Cell | null)[]) => row.length > 0 && row.every((c) => c?.floor);

const losses = (m: Row, task: string, t: number): (Cell | null)[] =>
  list(list(m.loss)[t]).map((x, i, row) => (isNumber(x) ? blue(nats(x), 1 - minMax(row, x), `${task}, layer ${i}: ${fixed(x)} nats`) : null));

const Td = ({ c }: { c: Cell | null | undefined }) => (c ? <td class={c.floor ? "floor" : ""} style={c.style} title={c.title}>{c.text}</td> : <td class="empty" />);

/// Layers across where that leaves room for a number in each cell, else down.
function HeatTable({ m, side, rows, picked }: { m: Row; side: [string, Row][]; rows: (Cell | null)[][]; picked: number[] }) {
  const [box, width] = useWidth();
  const tasks: string[] = list(m.tasks);
  const n: number = m.layers ?? rows[0]?.length ?? 0;
  const label = 18 + 7.5 * Math.max(4, ...tasks.map((t) => t.length));
  const room = (width - label - 62 * side.length) / n;
  const layers = Array.from({ length: n }, (_, i) => i);
  const head = (i: number, cls: string) => <th class={cls + (picked.includes(i) ? " pick" : "")} title={picked.includes(i) ? "full in the end" : undefined}>{i}</th>;
  const sideCell = (of: Row, task: string) => <td class="side-cell">{short(of[task]) || "–"}</td>;
  const across = (
    <table class={room < 34 ? "heat tight" : "heat"}>
      <colgroup><col style={{ width: label + "px" }} />{side.map(() => <col style={{ width: "62px" }} />)}{layers.map(() => <col />)}</colgroup>
      <tr><th />{side.map(([name]) => <th>{name}</th>)}{layers.map((i) => head(i, ""))}</tr>
      {tasks.map((task, t) => <tr><th class="row">{task}</th>{side.map(([, of]) => sideCell(of, task))}{layers.map((i) => <Td c={rows[t]?.[i]} />)}</tr>)}
    </table>
  );
  const down = (
    <table class="heat down">
      <colgroup><col style={{ width: "80px" }} />{tasks.map(() => <col />)}</colgroup>
      <tr><th />{tasks.map((t) => <th title={t}>{t}</th>)}</tr>
      {side.map(([name, of]) => <tr><th class="row">{name}</th>{tasks.map((t) => sideCell(of, t))}</tr>)}
      {layers.map((i) => <tr>{head(i, "row")}{rows.map((r) => <Td c={r[i]} />)}</tr>)}
    </table>
  );
  return <div ref={box}>{width > 0 && (room >= 24 ? across : down)}</div>;
}

const Scale = ({ from, to, what, cls = "" }: { from: string; to: string; what: string; cls?: string }) => (
  <div class="scale"><span>{from}</span><i class={cls} /><span>{to}</span><span>{what}</span></div>
);

export function HeatMap({ r }: { r: Row }) {
  const m: Row = r.heat_map;
  const tasks: string[] = list(m.tasks);
  const picked = list(r.layers).flatMap((l, i) => (layerClass(l) === "full" ? [i] : []));
  const side = ([["all linear", m.all_linear], ["base", m.base]] as [string, Row][]).filter((x) => x[1]);
  const gap = m.all_linear && m.base;
  const all = list(m.value).length ? tasks.map((t, i) => accuracies(m, t, i)) : [];
  const silent = tasks.filter((_, i) => all[i] && isSilent(all[i]));
  const rows = all.filter((row) => !isSilent(row));
  return (
    <>
      <p class="caption">
        One layer keeps full attention, all others are linear: one cell for each such layer{picked.length ? ", in blue the numbers of those that are full in the final model." : "."}
      </p>
      {silent.length > 0 && <p class="caption">The accuracy of {silent.join(", ")} is no better whichever layer is full than where none is: those cells say nothing, the loss below does.</p>}
      {rows.length > 0 && (
        <>
          <h3>Accuracy</h3>
          <HeatTable m={{ ...m, tasks: tasks.filter((t) => !silent.includes(t)) }} side={side} rows={rows} picked={picked} />
          {gap ? <Scale from="0 %" to="100 %" what="of the accuracy between all linear and the base, regained" /> : <Scale from="lowest" to="highest" what="of the row" />}
          {rows.some((row) => row.some((c) => c?.floor)) && <Scale from="high" to="low" what="loss in nats, in italics: the accuracy is at its floor and says nothing" cls="floor" />}
        </>
      )}
      {list(m.loss).length > 0 && (
        <>
          <h3>Loss of the right answers, nats per token</h3>
          <HeatTable m={m} side={[]} rows={tasks.map((t, i) => losses(m, t, i))} picked={picked} />
          <Scale from="highest" to="lowest" what="of the row" />
        </>
      )}
    </>
  );
}
