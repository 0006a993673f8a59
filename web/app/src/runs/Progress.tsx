import type { RunRow } from "../api";
import { count, duration, isNumber } from "../format";
import { STAGES } from "./data";

export const stageName = (stage: string) => stage.replace(/_/g, " ");
export const share = (r: RunRow) => (isNumber(r.done) && isNumber(r.total) && r.total > 0 ? Math.min(1, r.done / r.total) : null);

/// "placement, 61 of 260 paths, 4 min 10 s left"
export function progressText(r: RunRow): string {
  const stopped = r.state === "stopped";
  if (r.finished && r.state !== "running") return "finished";
  const parts = [(stopped ? "stopped at " : "") + (r.stage ? stageName(r.stage) : stopped ? "the start" : "not begun")];
  if (share(r) !== null) parts.push(`${r.done!.toLocaleString("en")} of ${r.total!.toLocaleString("en")} ${r.unit ?? ""}`.trim());
  if (!stopped && isNumber(r.stage_eta_s)) parts.push(`${duration(r.stage_eta_s)} left`);
  return parts.join(", ");
}

/// "23 % of the run, 45 min left"
export function wholeText(r: RunRow): string {
  if (r.finished || !isNumber(r.share)) return "";
  const part = `${Math.floor(100 * r.share)} % of the run`;
  if (r.state === "stopped") return part + " was done";
  return isNumber(r.eta_s) ? `${part}, ${duration(r.eta_s)} left` : part;
}

/// What is at work in the stage.
export function workText(r: RunRow): string {
  if (r.state !== "running" || !r.work) return "";
  return [r.work, r.note, isNumber(r.tokens_per_second) ? `${count(r.tokens_per_second)} tokens/s` : ""].filter(Boolean).join(", ");
}

/// The stages in order: those done, the one that is going on, those to come.
export function Stages({ row, has }: { row: RunRow | undefined; has: (stage: string) => boolean }) {
  return (
    <ol class={row?.state === "stopped" ? "stages stopped" : "stages"}>
      {STAGES.map((s) => {
        const now = row?.state !== "finished" && row?.stage === s;
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
