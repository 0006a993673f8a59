import { useState } from "preact/hooks";
import { address, go } from "../router";
import { lost, runs, useRuns } from "./data";
import { Frame } from "./Frame";
import { progressText, share, wholeText } from "./Progress";
import { Bar } from "./table";

export function RunList() {
  useRuns([]);
  const [picked, pick] = useState<string[]>([]);
  const rows = runs.value;
  const toggle = (name: string) => pick(picked.includes(name) ? picked.filter((n) => n !== name) : [...picked, name]);
  return (
    <Frame title="Searches">
      {!rows && <p class="sub">{lost.value || "Reading"}</p>}
      {rows?.length === 0 && <p class="sub">No run yet. One that is started into this folder appears here.</p>}
      {rows && rows.length > 0 && (
        <>
          <div class="run-tools">
            <p class="caption">{picked.length < 2 ? "Pick two or more to compare." : `${picked.length} picked.`}</p>
            <button class="primary" disabled={picked.length < 2} onClick={() => go(address.compare(picked))}>Compare</button>
          </div>
          <ul class="run-list">
            {rows.map((r) => (
              <li key={r.name} class={r.state ?? ""}>
                <input type="checkbox" aria-label={`Compare ${r.name}`} checked={picked.includes(r.name)} onChange={() => toggle(r.name)} />
                <a href={address.run(r.name)}>{r.name}</a>
                <Bar share={r.finished ? 1 : (r.share ?? share(r))} plain={r.state !== "running"} />
                <span class="sub">{progressText(r)}{wholeText(r) && <span class="note">{wholeText(r)}</span>}{r.error && <span class="note bad">{r.error}</span>}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Frame>
  );
}
