// Runs of the search, as the server sees them in its folder.
import { signal } from "@preact/signals";
import { getJson, type RunRow } from "../api";

export const runs = signal<RunRow[] | null>(null);
export const hasRuns = signal(false);

export async function readRuns(): Promise<void> {
  try {
    runs.value = await getJson<RunRow[]>("runs");
    hasRuns.value = true;
  } catch {
    /* no --runs, or no server: what is known stays */
  }
}
