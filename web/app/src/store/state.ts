// What the page shows, as signals, and every change of it. Changes go to the store and are told to the other tabs, which
// read the records again.
import { batch, computed, signal } from "@preact/signals";
import { openStore, type Store } from "./db";
import { settings } from "./settings";
import { anyLeaf, line, newestLeaf, type Messages } from "./tree";
import { newId, type Conversation, type Message, type Sampling } from "./types";

let store: Store;
export const lasting = signal(true);
export const conversations = signal<Conversation[]>([]);
/// The open conversation; null: a new one, which has no record yet.
export const current = signal<string | null>(null);
export const messages = signal<Messages>(new Map());
/// The leaf that this tab shows; another tab may show another one.
export const leaf = signal<string | null>(null);
/// A conversation that is not begun has its settings here.
export const unbegun = signal<{ system: string; sampling: Sampling }>({ system: "", sampling: {} });

export const open = computed(() => conversations.value.find((c) => c.id === current.value && !c.deleted) ?? null);
export const path = computed(() => line(messages.value, leaf.value));
export const system = computed(() => open.value?.system ?? unbegun.value.system);
export const sampling = computed(() => open.value?.sampling ?? unbegun.value.sampling);

type News = { kind: "conversation" | "messages"; id: string };
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("jet");
const tell = (news: News) => channel?.postMessage(news);

const DELETED_FOR_GOOD_MS = 60_000;

export interface Records {
  conversations: Conversation[];
  messages: Message[];
}
const underway = new Set<Records>();

/// What is being written and may not be kept, should the page go away now; later records after earlier ones.
export const unwritten = (): Records => ({
  conversations: [...underway].flatMap((r) => r.conversations),
  messages: [...underway].flatMap((r) => r.messages),
});

async function writing<T>(records: Records, written: Promise<T>): Promise<T> {
  underway.add(records);
  try {
    return await written;
  } finally {
    underway.delete(records);
  }
}

export async function begin(): Promise<void> {
  store = await openStore();
  lasting.value = store.lasting;
  unbegun.value = { ...settings.value.fresh };
  await refresh();
  for (const c of await store.conversations()) {
    if (c.deleted && Date.now() - c.deleted > DELETED_FOR_GOOD_MS) await store.purge(c.id);
  }
  channel?.addEventListener("message", (e: MessageEvent<News>) => void hear(e.data));
}

async function hear(news: News): Promise<void> {
  if (news.kind === "conversation") await refresh();
  if (news.id !== current.value) return;
  if (open.value) await readMessages(news.id);
  else await show(null); // deleted in another tab
}

async function refresh(): Promise<void> {
  const all = await store.conversations();
  conversations.value = all.sort((a, b) => b.updated - a.updated);
}

async function readMessages(id: string): Promise<void> {
  const list = await store.messages(id);
  if (current.value !== id) return;
  const read = new Map(list.map((m) => [m.id, m]));
  // What this tab is writing is newer here than in the store.
  for (const m of messages.value.values()) if (m.conversation === id && ours.has(m.id)) read.set(m.id, m);
  batch(() => {
    messages.value = read;
    if (leaf.value === null || !read.has(leaf.value)) leaf.value = anyLeaf(read);
  });
}

/// The conversation that this tab began last: what was typed before it had a name belongs to it.
export const begun = signal<string | null>(null);
/// Messages that this tab is streaming.
export const ours = new Set<string>();

export async function show(id: string | null): Promise<void> {
  if (id === current.value) return;
  batch(() => {
    current.value = id;
    messages.value = new Map();
    leaf.value = id === null ? null : (conversations.value.find((c) => c.id === id)?.leaf ?? null);
    if (id === null) unbegun.value = { ...settings.value.fresh };
  });
  if (id !== null) await readMessages(id);
}

function put(c: Conversation): void {
  const rest = conversations.value.filter((x) => x.id !== c.id);
  conversations.value = [c, ...rest].sort((a, b) => b.updated - a.updated);
}

/// The open conversation's id; begins one named after `text` where none is open.
export async function ensure(text: string): Promise<string> {
  if (open.value) return open.value.id;
  const now = Date.now();
  const c: Conversation = { id: newId(), title: titleOf(text), named: false, created: now, updated: now, ...unbegun.value, leaf: null };
  await store.write([c], []);
  batch(() => {
    put(c);
    begun.value = c.id;
    current.value = c.id;
    messages.value = new Map();
    leaf.value = null;
  });
  tell({ kind: "conversation", id: c.id });
  return c.id;
}

export const titleOf = (text: string) => {
  const first = text.trim().split("\n", 1)[0]!.trim();
  return (first.length > 60 ? first.slice(0, 59).trimEnd() + "…" : first) || "New chat";
};

export async function change(id: string, by: (c: Conversation) => Conversation): Promise<void> {
  // Shown at once; the store applies the same change to what other tabs may have written meanwhile.
  const before = conversations.value.find((c) => c.id === id);
  const shown = before && by(before);
  if (shown) put(shown);
  const after = await writing({ conversations: shown ? [shown] : [], messages: [] }, store.update(id, by));
  if (after && !before) put(after);
  tell({ kind: "conversation", id });
}

export async function setSystem(text: string): Promise<void> {
  if (open.value) await change(open.value.id, (c) => ({ ...c, system: text }));
  else unbegun.value = { ...unbegun.value, system: text };
}

export async function setSampling(sampling: Sampling): Promise<void> {
  if (open.value) await change(open.value.id, (c) => ({ ...c, sampling }));
  else unbegun.value = { ...unbegun.value, sampling };
}

export const rename = (id: string, title: string) => change(id, (c) => ({ ...c, title: title.trim() || c.title, named: true }));

export async function remove(id: string): Promise<void> {
  await change(id, (c) => ({ ...c, deleted: Date.now() }));
  if (current.value === id) await show(null);
}
export const restore = (id: string) => change(id, ({ deleted: _, ...c }) => c);

/// Puts messages into the tree and the store; `at` becomes the shown leaf.
export async function add(list: Message[], at?: string): Promise<void> {
  const id = list[0]!.conversation;
  if (id === current.value) {
    batch(() => {
      const next = new Map(messages.value);
      for (const m of list) next.set(m.id, m);
      messages.value = next;
      if (at) leaf.value = at;
    });
  }
  await save(list);
  if (at) await change(id, (c) => ({ ...c, leaf: at, updated: Date.now() }));
}

export async function save(list: Message[]): Promise<void> {
  await writing({ conversations: [], messages: list }, store.write([], list));
  if (list[0]) tell({ kind: "messages", id: list[0].conversation });
}

/// Shows a message as it was kept, where its conversation is open.
export function settle(m: Message): void {
  if (current.value !== m.conversation || messages.value.get(m.id) === m) return;
  messages.value = new Map(messages.value).set(m.id, m);
}

export async function choose(message: Message): Promise<void> {
  const at = newestLeaf(messages.value, message);
  leaf.value = at;
  await change(message.conversation, (c) => ({ ...c, leaf: at }));
}

/// A conversation as it is in the store, open or not.
export async function whole(id: string): Promise<{ conversation: Conversation | undefined; messages: Messages }> {
  const list = await store.messages(id);
  return { conversation: await store.conversation(id), messages: new Map(list.map((m) => [m.id, m])) };
}

export const readAll = async () => ({ conversations: (await store.conversations()).filter((c) => !c.deleted), messagesOf: (id: string) => store.messages(id) });
export const eachMessage = (visit: (m: Message) => void) => store.each(visit);

export async function bring(list: Conversation[], texts: Message[]): Promise<void> {
  await store.write(list, texts);
  await refresh();
  for (const c of list) tell({ kind: "conversation", id: c.id });
}
