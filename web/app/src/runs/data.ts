// Runs of the search, as the server sees them in its folder. Asked again while something is going on and to be seen.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, getJson, type RunRow } from "../api";
import type { Row } from "./table";

export const STAGES = ["base", "supernet", "heat_map", "placement", "validation", "blocks", "dimensions", "distill", "final"];

export const runs = signal<RunRow[] | null>(null);
export const hasRuns = signal(false);
export const reports = signal<ReadonlyMap<string, Row>>(new Map());
/// Why the last question was not answered.
export const lost = signal("");

const texts = new Map<string, string>();
const asked = new Map<string, number | undefined>();

export async function readRuns(): Promise<void> {
  try {
    const rows = await getJson<RunRow[]>("runs");
    runs.value = Array.isArray(rows) ? rows : [];
    hasRuns.value = true;
    lost.value = "";
  } catch (e) {
    lost.value = e instanceof ApiError ? e.failure.text : String(e);
  }
}

/// A report that has not changed stays the same object, and nothing is drawn again.
async function readReport(name: string): Promise<void> {
  const changed = rowOf(name)?.report_changed;
  try {
    const report = await getJson<Row>("runs/" + encodeURIComponent(name));
    asked.set(name, changed);
    const text = JSON.stringify(report);
    if (texts.get(name) === text) return;
    texts.set(name, text);
    reports.value = new Map(reports.value).set(name, report);
  } catch {
    /* the list of runs tells what is wrong; a report that has been read stays */
  }
}

export const rowOf = (name: string) => runs.value?.find((r) => r.name === name);

const ROWS_MS = 2000;

/// Keeps the list, and the reports of `names`, as they are on the server.
export function useRuns(names: string[]): void {
  const key = names.join("/");
  useEffect(() => {
    let asking = false;
    const ask = async () => {
      if (asking || document.hidden) return;
      asking = true;
      await readRuns();
      for (const name of names) if (!reports.value.has(name) || rowOf(name)?.report_changed !== asked.get(name)) await readReport(name);
      asking = false;
    };
    void ask();
    const timer = setInterval(ask, ROWS_MS);
    return () => clearInterval(timer);
  }, [key]);
}
