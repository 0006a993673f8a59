// Where conversations are kept: IndexedDB, two stores of small records. A browser that refuses it gets a store in memory,
// and the page says so.
import type { Conversation, Message } from "./types";

export interface Store {
  lasting: boolean;
  conversations(): Promise<Conversation[]>;
  conversation(id: string): Promise<Conversation | undefined>;
  messages(conversation: string): Promise<Message[]>;
  /// Writes all or nothing. Messages of a conversation that is gone are left out.
  write(conversations: Conversation[], messages: Message[]): Promise<void>;
  /// Changes what the record holds now, not what this tab last saw of it.
  update(id: string, change: (c: Conversation) => Conversation): Promise<Conversation | undefined>;
  purge(id: string): Promise<void>;
  /// Every message once, for the search.
  each(visit: (m: Message) => void): Promise<void>;
}

const done = (t: IDBTransaction) =>
  new Promise<void>((resolve, reject) => {
    t.oncomplete = () => resolve();
    t.onerror = t.onabort = () => reject(t.error ?? new Error("the browser's store failed"));
  });
const result = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open("jet", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("conversations", { keyPath: "id" });
    request.result.createObjectStore("messages", { keyPath: "id" }).createIndex("conversation", "conversation");
  };
  return result(request);
}

class Lasting implements Store {
  lasting = true;
  constructor(private db: IDBDatabase) {
    db.onversionchange = () => db.close();
  }
  private read(store: string) {
    return this.db.transaction(store).objectStore(store);
  }
  conversations() {
    return result<Conversation[]>(this.read("conversations").getAll());
  }
  conversation(id: string) {
    return result<Conversation | undefined>(this.read("conversations").get(id));
  }
  messages(conversation: string) {
    return result<Message[]>(this.read("messages").index("conversation").getAll(conversation));
  }
  async write(conversations: Conversation[], messages: Message[]) {
    const t = this.db.transaction(["conversations", "messages"], "readwrite");
    const finished = done(t);
    for (const c of conversations) t.objectStore("conversations").put(c);
    for (const m of messages) {
      const owner = t.objectStore("conversations").getKey(m.conversation);
      owner.onsuccess = () => owner.result !== undefined && t.objectStore("messages").put(m);
    }
    await finished;
  }
  async update(id: string, change: (c: Conversation) => Conversation) {
    const t = this.db.transaction("conversations", "readwrite");
    const finished = done(t);
    const store = t.objectStore("conversations");
    let after: Conversation | undefined;
    const get = store.get(id);
    get.onsuccess = () => {
      if (get.result) store.put((after = change(get.result)));
    };
    await finished;
    return after;
  }
  async purge(id: string) {
    const t = this.db.transaction(["conversations", "messages"], "readwrite");
    const finished = done(t);
    t.objectStore("conversations").delete(id);
    const cursor = t.objectStore("messages").index("conversation").openKeyCursor(id);
    cursor.onsuccess = () => {
      if (!cursor.result) return;
      t.objectStore("messages").delete(cursor.result.primaryKey);
      cursor.result.continue();
    };
    await finished;
  }
  async each(visit: (m: Message) => void) {
    const t = this.db.transaction("messages");
    const finished = done(t);
    const cursor = t.objectStore("messages").openCursor();
    cursor.onsuccess = () => {
      if (!cursor.result) return;
      visit(cursor.result.value);
      cursor.result.continue();
    };
    await finished;
  }
}

class InMemory implements Store {
  lasting = false;
  private all = new Map<string, Conversation>();
  private texts = new Map<string, Message>();
  async conversations() {
    return [...this.all.values()];
  }
  async conversation(id: string) {
    return this.all.get(id);
  }
  async messages(conversation: string) {
    return [...this.texts.values()].filter((m) => m.conversation === conversation);
  }
  async write(conversations: Conversation[], messages: Message[]) {
    for (const c of conversations) this.all.set(c.id, c);
    for (const m of messages) if (this.all.has(m.conversation)) this.texts.set(m.id, m);
  }
  async update(id: string, change: (c: Conversation) => Conversation) {
    const before = this.all.get(id);
    if (before) this.all.set(id, change(before));
    return this.all.get(id);
  }
  async purge(id: string) {
    this.all.delete(id);
    for (const m of this.texts.values()) if (m.conversation === id) this.texts.delete(m.id);
  }
  async each(visit: (m: Message) => void) {
    this.texts.forEach(visit);
  }
}

export async function openStore(): Promise<Store> {
  try {
    return new Lasting(await open());
  } catch {
    return new InMemory();
  }
}
