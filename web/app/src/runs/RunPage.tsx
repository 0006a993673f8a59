// One run, finished or going on: sections appear as its stages end.
import { Component, type ComponentChildren } from "preact";
import { context, duration, fixed, isNumber, layerClass, ranges } from "../format";
import { address } from "../router";
import { lost, reports, rowOf, runs, useRuns } from "./data";
import { Frame } from "./Frame";
import { progressText, Stages, wholeText, workText } from "./Progress";
import { SECTIONS, type Section } from "./sections";
import { list, type Row } from "./table";

/// One section that the data breaks must not take the others with it.
class Guarded extends Component<{ r: Row; children: ComponentChildren }, { error: string }> {
  override state = { error: "" };
  static override getDerivedStateFromError(e: Error) {
    return { error: e.message };
  }
  override componentDidUpdate(before: { r: Row }) {
    if (before.r !== this.props.r && this.state.error) this.setState({ error: "" });
  }
  override render() {
    return this.state.error ? <p class="caption">This section's data is not as expected: {this.state.error}</p> : this.props.children;
  }
}

export function RunPage({ name }: { name: string }) {
  useRuns([name]);
  const r = reports.value.get(name);
  const row = rowOf(name);
  const sections = r ? SECTIONS.filter((s) => s.has(r)) : [];
  return (
    <Frame title={name} back={address.runs}>
      {!r && <p class="sub">{lost.value || (row ? progressText(row) : runs.value ? "There is no run of this name here." : "Reading")}</p>}
      {(r || row) && <Head r={r ?? {}} name={name} />}
      {r && sections.length > 1 && (
        <nav class="jumps" aria-label="Sections">
          {sections.map((s) => <a href={"#/runs/" + encodeURIComponent(name)} onClick={(e) => { e.preventDefault(); document.getElementById(s.id)?.scrollIntoView(); }}>{s.title}</a>)}
        </nav>
      )}
      {r && sections.map((s) => <Part key={s.id} section={s} r={r} />)}
    </Frame>
  );
}

function Part({ section: s, r }: { section: Section; r: Row }) {
  return (
    <section id={s.id}>
      <h2>{s.title}{s.stage && r.unfinished === s.stage && <span class="so-far">so far</span>}</h2>
      <Guarded r={r}><s.Draw r={r} /></Guarded>
    </section>
  );
}

function Head({ r, name }: { r: Row; name: string }) {
  const row = rowOf(name);
  const seconds = Object.values(r.seconds ?? {}).filter(isNumber).reduce((a, b) => a + b, 0);
  const facts = [r.title !== name ? r.title : "", seconds > 0 ? duration(seconds) : "", r.machine].filter(Boolean).join(" · ");
  return (
    <div class="run-head">
      {facts && <p class="sub">{facts}</p>}
      {row && !(row.finished && row.state !== "running") && (
        <>
          <p class="now-at" role="status">{progressText(row)}</p>
          <Stages row={row} has={(s) => r[s] !== undefined && r.unfinished !== s} />
          <p class="sub whole">{[wholeText(row), workText(row)].filter(Boolean).join(" · ")}</p>
          {row.error && <p class="note bad" role="alert">{row.error}</p>}
        </>
      )}
      {list(r.layers).length > 0 && <Layers labels={list(r.layers)} />}
      {r.final && <Figures r={r} />}
    </div>
  );
}

function Layers({ labels }: { labels: string[] }) {
  const kinds = [...new Set(labels)];
  const order = ["full", "swa", "linear", "none"];
  kinds.sort((a, b) => order.indexOf(layerClass(a)) - order.indexOf(layerClass(b)));
  return (
    <>
      <div class={labels.length > 16 ? "strip many" : "strip"} role="img" aria-label={"layers: " + labels.join(", ")}>
        {labels.map((l, i) => <div class={layerClass(l)} title={`layer ${i}: ${l}`}>{labels.length > 16 ? "" : i}</div>)}
      </div>
      <ul class="legend across">
        {kinds.map((k) => {
          const at = labels.flatMap((l, i) => (l === k ? [i] : []));
          return <li><i class={layerClass(k)} />{k.replace(/_/g, " ")} × {at.length}{at.length <= 8 && ` (${ranges(at)})`}</li>;
        })}
      </ul>
    </>
  );
}

function Figures({ r }: { r: Row }) {
  const out: [string, string][] = [];
  const v: Row = r.speed ?? {};
  const at = list(v.contexts).length - 1;
  const x = list(v.hybrid?.speedup)[at];
  if (isNumber(x)) out.push([fixed(x, 2) + "×", `decode speed at ${context(v.contexts[at])} tokens, against the base`]);
  const [theirs, ours] = [list(v.base?.cache_bytes)[at], list(v.hybrid?.cache_bytes)[at]];
  if (theirs > 0 && ours > 0) out.push([fixed(Math.max(theirs / ours, ours / theirs), 1) + "×", `${theirs < ours ? "larger" : "smaller"} cache at ${context(v.contexts[at])} tokens`]);
  const gains = list(r.gains);
  const last = gains[gains.length - 1];
  if (last && gains.length > 1) for (const [task, y] of Object.entries(last.accuracy ?? {})) if (isNumber(y)) out.push([fixed(y), `${task}, the base has ${fixed(gains[0].accuracy?.[task])}`]);
  if (!out.length) return null;
  return <div class="figures wide">{out.map(([value, what]) => <div class="figure"><b>{value}</b><span>{what}</span></div>)}</div>;
}
