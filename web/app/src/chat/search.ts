// Search in titles and texts of all conversations: all words, in any order, in one message or the title.
import { conversations, eachMessage } from "../store/state";
import type { Conversation } from "../store/types";

export interface Hit {
  conversation: Conversation;
  /// The message that has the words; null: the title has them.
  message: string | null;
  before: string;
  match: string;
  after: string;
}

const AROUND = 40;

export async function search(query: string): Promise<Hit[]> {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const has = (text: string) => {
    const lower = text.toLowerCase();
    return words.every((w) => lower.includes(w));
  };
  const hits = new Map<string, Hit>();
  const known = new Map(conversations.value.filter((c) => !c.deleted).map((c) => [c.id, c]));
  for (const c of known.values()) if (has(c.title)) hits.set(c.id, { conversation: c, message: null, before: "", match: "", after: "" });
  await eachMessage((m) => {
    const c = known.get(m.conversation);
    const old = hits.get(m.conversation);
    if (!c || old?.message || !has(m.content)) return;
    hits.set(c.id, { conversation: c, message: m.id, ...around(m.content, words[0]!) });
  });
  return [...hits.values()].sort((a, b) => b.conversation.updated - a.conversation.updated);
}

function around(text: string, word: string) {
  const at = Math.max(0, text.toLowerCase().indexOf(word));
  const line = (s: string) => s.replace(/\s+/g, " ");
  const start = Math.max(0, at - AROUND);
  return {
    before: (start ? "…" : "") + line(text.slice(start, at)),
    match: line(text.slice(at, at + word.length)),
    after: line(text.slice(at + word.length, at + word.length + 80)),
  };
}
