import type { Props } from "../api";
import { ranges } from "../format";

type Layer = NonNullable<Props["layers"]>[number];

const kind = (l: Layer) => (l.mixer === "none" ? "none" : l.mixer !== "attention" && l.mixer !== "full" ? "linear" : l.window ? "swa" : "full");
const label = (l: Layer) => (kind(l) === "full" ? "full attention" : kind(l) === "swa" ? `attention, window of ${l.window}` : l.mixer.replace(/_/g, " "));

/// A cell a layer, and what the colours are.
export function LayerMap({ layers }: { layers: Layer[] }) {
  const names = [...new Set(layers.map(label))];
  const order = ["full", "swa", "linear", "none"];
  const of = (name: string) => layers.flatMap((l, i) => (label(l) === name ? [i] : []));
  const classOf = (name: string) => kind(layers[of(name)[0]!]!);
  names.sort((a, b) => order.indexOf(classOf(a)) - order.indexOf(classOf(b)));
  return (
    <section>
      <h3>Layers</h3>
      <div class={layers.length > 12 ? "strip many" : "strip"} role="img" aria-label={"layers: " + layers.map(label).join(", ")}>
        {layers.map((l, i) => <div key={i} class={kind(l)} title={`layer ${i}: ${label(l)}`}>{layers.length > 12 ? "" : i}</div>)}
      </div>
      <ul class="legend">
        {names.map((n) => (
          <li key={n}>
            <i class={classOf(n)} />
            {n} × {of(n).length}
            {of(n).length <= 8 && <span class="sub"> ({ranges(of(n))})</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
