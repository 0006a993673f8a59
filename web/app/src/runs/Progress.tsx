import type { RunRow } from "../api";
import { duration, isNumber } from "../format";
import { STAGES } from "./data";

export const stageName = (stage: string) => stage.replace(/_/g, " ");
export const share = (r: RunRow) => (isNumber(r.done) && isNumber(r.total) && r.total > 0 ? Math.min(1, r.done / r.total) : null);

/// "placement, 61 of 260, 4 min 10 s left"
export function progressText(r: RunRow): string {
  if (r.finished) return "finished";
  const parts = [r.stage ? stageName(r.stage) : "not begun"];
  if (share(r) !== null) parts.push(`${r.done!.toLocaleString("en")} of ${r.total!.toLocaleString("en")}`);
  if (isNumber(r.eta_s) && r.eta_s >= 0) parts.push(`${duration(r.eta_s)} left`);
  return parts.join(", ");
}

/// The stages in order: those done, the one that is going on, those to come.
export function Stages({ row, has }: { row: RunRow | undefined; has: (stage: string) => boolean }) {
  return (
    <ol class="stages">
      {STAGES.map((s) => {
        const now = !row?.finished && row?.stage === s;
        const state = now ? "now" : has(s) ? "done" : "to-come";
        const part = now && row ? share(row) : null;
        return (
          <li key={s} class={state} aria-current={now ? "step" : undefined}>
            <i><b style={{ width: now ? `${100 * (part ?? 0)}%` : undefined }} /></i>
            <span>{stageName(s)}</span>
          </li>
        );
      })}
    </ol>
  );
}
