// A conversation is a tree of messages:
//
//   system prompt, sampling                  in the conversation's record
//   user ─ assistant ─ user ─ assistant      messages, each with its parent
//       └─ assistant (regenerated)           a sibling: another branch
//   leaf                                     the message whose line of ancestors is shown
//
// Every message is a record of its own, so two tabs that write in one conversation make two branches and lose nothing.

export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  typical_p?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
  /// Absent: as the model's template has it.
  thinking?: boolean;
}

export interface Conversation {
  id: string;
  title: string;
  /// The user has named it: it is not named after the first message any more.
  named: boolean;
  created: number;
  updated: number;
  system: string;
  sampling: Sampling;
  leaf: string | null;
  /// When it was deleted; it can be brought back until it is purged.
  deleted?: number;
}

export type Status = "streaming" | "done" | "stopped" | "length" | "error";

export interface Failure {
  kind: "key" | "busy" | "network" | "broken" | "server";
  text: string;
  /// Seconds after which the server asks to try again.
  retryAfter?: number;
}

/// Figures of one reply. Counts and times are the server's where it sends them.
export interface Stats {
  promptTokens?: number;
  cachedTokens?: number;
  tokens: number;
  perSecond?: number;
  promptPerSecond?: number;
  firstMs?: number;
  queueMs?: number;
  totalMs?: number;
  thinkMs?: number;
}

export interface Message {
  id: string;
  conversation: string;
  parent: string | null;
  role: "user" | "assistant";
  content: string;
  thinking?: string;
  created: number;
  status: Status;
  failure?: Failure;
  stats?: Stats;
  /// While streaming: when its tab last wrote it. A beat long ago means that the tab is gone.
  beat?: number;
}

/// crypto.randomUUID is missing on pages that come over plain http from another machine.
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
