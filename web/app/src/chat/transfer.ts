// Conversations as files.
//
//   {"format": "jet.conversations", "version": 1, "conversations": [{id, title, ..., "messages": [{id, parent, role, ...}]}]}
//
// What is imported keeps its ids, so importing a file twice changes nothing, and messages that are missing here are added.
import { bring, readAll, titleOf, whole } from "../store/state";
import { line } from "../store/tree";
import { newId, type Conversation, type Message, type Sampling } from "../store/types";

const FORMAT = "jet.conversations";

export async function exportAll(): Promise<string> {
  const { conversations, messagesOf } = await readAll();
  const out = [];
  for (const c of conversations) out.push({ ...c, messages: await messagesOf(c.id) });
  return JSON.stringify({ format: FORMAT, version: 1, conversations: out }, null, 1);
}

export async function exportOne(id: string): Promise<string> {
  const { conversation, messages } = await whole(id);
  return JSON.stringify({ format: FORMAT, version: 1, conversations: [{ ...conversation, messages: [...messages.values()] }] }, null, 1);
}

/// The branch that is shown, to read elsewhere.
export async function asMarkdown(id: string): Promise<string> {
  const { conversation, messages } = await whole(id);
  const parts = line(messages, conversation?.leaf ?? null).map((m) => `## ${m.role === "user" ? "You" : "Answer"}\n\n${m.content.trim()}\n`);
  const system = conversation?.system.trim() ? `> ${conversation.system.trim().replace(/\n/g, "\n> ")}\n\n` : "";
  return `# ${conversation?.title ?? ""}\n\n${system}${parts.join("\n")}`;
}

export function download(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const fileName = (title: string, end: string) => (title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "conversation") + end;

/// Returns how many conversations and messages the file had. What is wrong with it is the error's text.
export async function importText(text: string): Promise<{ conversations: number; messages: number }> {
  let file: any;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (file?.format !== FORMAT || !Array.isArray(file.conversations)) throw new Error(`The file is not an export of this page: its "format" is not "${FORMAT}".`);
  const list: Conversation[] = [];
  const texts: Message[] = [];
  for (const raw of file.conversations) {
    const c = readConversation(raw);
    const messages = (Array.isArray(raw.messages) ? raw.messages : []).map((m: any) => readMessage(m, c.id));
    const ids = new Set(messages.map((m: Message) => m.id));
    for (const m of messages) if (m.parent !== null && !ids.has(m.parent)) throw new Error(`Conversation "${c.title}": a message's parent is missing.`);
    if (c.leaf !== null && !ids.has(c.leaf)) c.leaf = null;
    list.push(c);
    texts.push(...messages);
  }
  const { conversations } = await readAll();
  const here = new Set(conversations.map((c) => c.id));
  await bring(list.filter((c) => !here.has(c.id)), await missing(texts, here));
  return { conversations: list.length, messages: texts.length };
}

/// Messages that are here already stay as they are.
async function missing(texts: Message[], here: Set<string>): Promise<Message[]> {
  const known = new Set<string>();
  for (const id of new Set(texts.map((m) => m.conversation))) {
    if (here.has(id)) for (const m of (await whole(id)).messages.keys()) known.add(m);
  }
  return texts.filter((m) => !known.has(m.id));
}

const asText = (v: unknown) => (typeof v === "string" ? v : "");
const asTime = (v: unknown) => (typeof v === "number" && v > 0 ? v : Date.now());
const asId = (v: unknown) => (typeof v === "string" && /^[\w-]{1,64}$/.test(v) ? v : newId());

function readConversation(c: any): Conversation {
  if (c === null || typeof c !== "object") throw new Error("The file holds something that is not a conversation.");
  return {
    id: asId(c.id),
    title: titleOf(asText(c.title)),
    named: c.named === true,
    created: asTime(c.created),
    updated: asTime(c.updated),
    system: asText(c.system),
    sampling: readSampling(c.sampling),
    leaf: typeof c.leaf === "string" ? c.leaf : null,
  };
}

function readSampling(s: any): Sampling {
  const out: Record<string, unknown> = {};
  for (const [k, v] of Object.entries(s ?? {})) {
    if (/^(temperature|top_p|top_k|min_p|typical_p|\w+_penalty|max_tokens|seed)$/.test(k) && typeof v === "number") out[k] = v;
    if (k === "stop" && Array.isArray(v)) out[k] = v.filter((x) => typeof x === "string");
    if (k === "thinking" && typeof v === "boolean") out[k] = v;
  }
  return out as Sampling;
}

function readMessage(m: any, conversation: string): Message {
  if (m?.role !== "user" && m?.role !== "assistant") throw new Error("The file holds a message that is neither the user's nor an answer.");
  return {
    id: asId(m.id),
    conversation,
    parent: typeof m.parent === "string" ? m.parent : null,
    role: m.role,
    content: asText(m.content),
    created: asTime(m.created),
    status: m.status === "length" || m.status === "done" ? m.status : m.role === "user" ? "done" : "stopped",
    ...(asText(m.thinking) ? { thinking: m.thinking } : {}),
    ...(m.stats && typeof m.stats.tokens === "number" ? { stats: readStats(m.stats) } : {}),
  };
}

const readStats = (s: any) => Object.fromEntries(Object.entries(s).filter(([, v]) => typeof v === "number")) as unknown as NonNullable<Message["stats"]>;
