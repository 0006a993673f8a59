// The server, as the page asks it. Every request goes to the page's own origin.
import { computed, signal } from "@preact/signals";
import { settings } from "./store/settings";
import type { Failure } from "./store/types";

export interface Props {
  /// null: the server shows runs and has no model to talk with.
  model: { name: string; parameters?: number; context?: number; vocabulary?: number; weight_bytes?: number } | null;
  has_chat_template?: boolean;
  thinks?: boolean;
  layers?: { mixer: string; window?: number }[];
  cache?: { kv_type?: string; fixed_bytes: number; bytes_per_token: number; full_bytes_per_token: number };
  sampling?: Record<string, number>;
  version?: string;
}

export interface ServerStats {
  uptime_s?: number;
  running?: number;
  waiting?: number;
  sequence_bytes?: number;
  sequence_budget?: number;
  cache_bytes?: number;
  cache_budget?: number;
  checkpoints?: number;
  prompt_tokens?: number;
  cached_tokens?: number;
  generated_tokens?: number;
  requests?: number;
  decode_tps?: number;
  prefill_tps?: number;
}

export interface RunRow {
  name: string;
  state?: "running" | "finished" | "stopped";
  finished?: boolean;
  /// How far the stage is, in its unit, and the run as a whole; seconds.
  stage?: string;
  unit?: string;
  done?: number;
  total?: number;
  stage_eta_s?: number;
  share?: number;
  eta_s?: number;
  /// What is at work in the stage, and what it says of itself.
  work?: string;
  note?: string;
  tokens_per_second?: number;
  error?: string;
  /// When the report was written.
  report_changed?: number;
}

export class ApiError extends Error {
  constructor(public failure: Failure) {
    super(failure.text);
  }
}

export const props = signal<Props | null>(null);
export const hasChat = computed(() => props.value?.model !== null);
/// Why there are no props: the server wants a key, or does not answer.
export const trouble = signal<Failure | null>(null);

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (settings.value.key) headers.set("Authorization", `Bearer ${settings.value.key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
  } catch (e) {
    if (init.signal?.aborted) throw e;
    throw new ApiError({ kind: "network", text: "The server does not answer." });
  }
  if (!response.ok) throw new ApiError(await failureOf(response));
  return response;
}

async function failureOf(response: Response): Promise<Failure> {
  const said = await response
    .json()
    .then((j) => (typeof j?.error?.message === "string" ? (j.error.message as string) : ""))
    .catch(() => "");
  if (response.status === 401) return { kind: "key", text: settings.value.key ? "The server does not take this key." : "The server wants a key." };
  if (response.status === 429) {
    const wait = Number(response.headers.get("Retry-After"));
    return { kind: "busy", text: said || "The server is full.", ...(wait > 0 ? { retryAfter: wait } : {}) };
  }
  return { kind: "server", text: said || `The server answered ${response.status} ${response.statusText}`.trim() + "." };
}

export const getJson = async <T>(path: string, signal?: AbortSignal): Promise<T> => (await ask(path, signal ? { signal } : {})).json();

export async function readProps(): Promise<void> {
  try {
    props.value = await getJson<Props>("props");
    trouble.value = null;
  } catch (e) {
    trouble.value = e instanceof ApiError ? e.failure : { kind: "server", text: String(e) };
  }
}
