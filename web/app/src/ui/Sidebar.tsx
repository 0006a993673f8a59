import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { hasChat } from "../api";
import { replies } from "../chat/chat";
import { search, type Hit } from "../chat/search";
import { asMarkdown, download, exportOne, fileName } from "../chat/transfer";
import { address, go, place } from "../router";
import { hasRuns } from "../runs/data";
import { choose, conversations, current, messages, remove, rename, restore, show } from "../store/state";
import { set } from "../store/settings";
import type { Conversation } from "../store/types";
import { wanted } from "./ChatView";
import { focusComposer } from "./Composer";
import { drawer } from "./drawer";
import { Icon } from "./Icon";
import { Menu } from "./Menu";
import { settingsOpen } from "./SettingsDialog";
import { toast } from "./toast";

const query = signal("");

export function Sidebar() {
  const away = () => (drawer.value = null);
  const hide = () => (drawer.value ? away() : set({ sidebar: false }));
  return (
    <nav class="side" aria-label="Conversations">
      <div class="side-top">
        <a class="brand" href={address.fresh} onClick={away}>jet</a>
        <button class="icon" onClick={hide} aria-label="Hide conversations" title="Hide conversations"><Icon name="side" /></button>
      </div>
      {hasChat.value && (
        <>
          <div class="side-end top">
            <a class="entry" href={address.fresh} title="New chat (Ctrl+Shift+O)" onClick={() => { away(); focusComposer(); }}>
              <Icon name="plus" />
              New chat
            </a>
          </div>
          <Search />
        </>
      )}
      <div class="list">{hasChat.value && (query.value.trim() ? <Hits /> : <All />)}</div>
      <div class="side-end">
        {hasRuns.value && (
          <a class={place.value.view === "chat" && hasChat.value ? "entry" : "entry here"} href={address.runs} onClick={away}>
            <Icon name="runs" />
            Searches
          </a>
        )}
        <button class="entry" onClick={() => (settingsOpen.value = true)}>
          <Icon name="gear" />
          Settings
        </button>
      </div>
    </nav>
  );
}

function Search() {
  return (
    <label class="search">
      <Icon name="search" />
      <input id="search" type="search" placeholder="Search" aria-label="Search in all conversations" title="Ctrl+K" value={query.value}
        onInput={(e) => (query.value = e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key !== "Escape") return;
          e.preventDefault();
          query.value = "";
          focusComposer();
        }} />
    </label>
  );
}

const DAY = 86_400_000;

function groups(list: Conversation[]): [string, Conversation[]][] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const name = (t: number) => (t >= midnight ? "Today" : t >= midnight - DAY ? "Yesterday" : t >= midnight - 7 * DAY ? "Last 7 days" : t >= midnight - 30 * DAY ? "Last 30 days" : "Older");
  const out = new Map<string, Conversation[]>();
  for (const c of list) out.set(name(c.updated), [...(out.get(name(c.updated)) ?? []), c]);
  return [...out];
}

function All() {
  const list = conversations.value.filter((c) => !c.deleted);
  if (!list.length) return <p class="none-yet">No conversations yet.</p>;
  return (
    <>
      {groups(list).map(([name, of]) => (
        <section key={name}>
          <h2>{name}</h2>
          <ul>{of.map((c) => <Entry key={c.id} c={c} />)}</ul>
        </section>
      ))}
    </>
  );
}

function Entry({ c }: { c: Conversation }) {
  const [naming, setNaming] = useState(false);
  const here = place.value.view === "chat" && c.id === current.value;
  const busy = [...replies.value.values()].some((r) => r.conversation === c.id);
  if (naming) return <li><Naming c={c} onClose={() => setNaming(false)} /></li>;
  const items = [
    { name: "Rename", icon: "edit" as const, run: () => setNaming(true) },
    { name: "Save as JSON", icon: "download" as const, run: async () => download(fileName(c.title, ".json"), await exportOne(c.id), "application/json") },
    { name: "Save as Markdown", icon: "download" as const, run: async () => download(fileName(c.title, ".md"), await asMarkdown(c.id), "text/markdown") },
    { name: "Delete", icon: "trash" as const, run: () => forget(c) },
  ];
  return (
    <li class={here ? "entry here" : "entry"}>
      <a href={address.chat(c.id)} aria-current={here ? "page" : undefined} title={c.title} onClick={() => (drawer.value = null)}>{c.title}</a>
      {busy && <i class="badge" title="Being answered" />}
      <Menu label={`Commands for ${c.title}`} items={items} />
    </li>
  );
}

async function forget(c: Conversation): Promise<void> {
  for (const r of replies.value.values()) if (r.conversation === c.id) r.stop();
  const here = c.id === current.value;
  await remove(c.id);
  toast("The conversation is deleted.", {
    name: "Undo",
    run: () => void restore(c.id).then(() => here && go(address.chat(c.id))),
  });
}

function Naming({ c, onClose }: { c: Conversation; onClose: () => void }) {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => box.current!.select(), []);
  const done = () => {
    if (!box.current) return; // Enter has closed it already
    void rename(c.id, box.current.value);
    onClose();
  };
  return (
    <input ref={box} class="naming" aria-label="Name of the conversation" value={c.title} maxLength={200} onBlur={done}
      onKeyDown={(e) => {
        if (e.key === "Enter") done();
        if (e.key !== "Escape") return;
        e.stopPropagation();
        onClose();
      }} />
  );
}

function Hits() {
  const [hits, setHits] = useState<Hit[] | null>(null);
  useEffect(() => {
    let old = false;
    const timer = setTimeout(async () => {
      const found = await search(query.value);
      if (!old) setHits(found);
    }, 120);
    return () => {
      old = true;
      clearTimeout(timer);
    };
  }, [query.value, conversations.value]);
  if (!hits) return null;
  return (
    <section>
      <h2><span role="status">{hits.length ? (hits.length === 1 ? "1 conversation" : `${hits.length} conversations`) : "Nothing found"}</span></h2>
      <ul>
        {hits.map((h) => (
          <li key={h.conversation.id} class={h.conversation.id === current.value ? "entry hit here" : "entry hit"}>
            <a href={address.chat(h.conversation.id)} onClick={(e) => { e.preventDefault(); void openHit(h); }}>
              <span>{h.conversation.title}</span>
              {h.message && <small>{h.before}<mark>{h.match}</mark>{h.after}</small>}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/// Opens the branch that has the message, and goes there.
async function openHit(h: Hit): Promise<void> {
  drawer.value = null;
  await show(h.conversation.id);
  go(address.chat(h.conversation.id));
  const message = h.message && messages.value.get(h.message);
  if (!message) return;
  await choose(message);
  wanted.value = message.id;
}
