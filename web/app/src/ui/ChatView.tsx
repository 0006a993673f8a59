import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { props, trouble } from "../api";
import { replyIn } from "../chat/chat";
import { current, lasting, open, path, rename } from "../store/state";
import { set, settings } from "../store/settings";
import { ChatSettings } from "./ChatSettings";
import { Composer } from "./Composer";
import { drawer } from "./drawer";
import { Icon } from "./Icon";
import { KeyForm } from "./KeyForm";
import { MessageView } from "./MessageView";

/// The message to scroll to, set by the search.
export const wanted = signal<string | null>(null);

export function ChatView() {
  const [asking, ask] = useState(false);
  return (
    <>
      <Header onSettings={() => ask(true)} />
      <Scroller />
      <Composer />
      {asking && <ChatSettings onClose={() => ask(false)} />}
    </>
  );
}

function Header({ onSettings }: { onSettings: () => void }) {
  const c = open.value;
  const narrow = () => matchMedia("(max-width: 760px)").matches;
  const overlaid = () => matchMedia("(max-width: 1100px)").matches;
  const side = () => (narrow() ? (drawer.value = "side") : set({ sidebar: !settings.value.sidebar }));
  const panel = () => (overlaid() ? (drawer.value = "panel") : set({ panel: !settings.value.panel }));
  const ours = Object.keys(c?.sampling ?? {}).length + (c?.system.trim() ? 1 : 0);
  return (
    <header class="bar">
      <button class={settings.value.sidebar ? "icon only-narrow" : "icon"} onClick={side} aria-label="Conversations" title="Conversations">
        <Icon name="menu" />
      </button>
      <Title key={c?.id} />
      <button class="icon" onClick={onSettings} aria-label="System prompt and sampling" title="System prompt and sampling">
        <Icon name="sliders" />
        {ours > 0 && <i class="badge" title="This chat has its own settings" />}
      </button>
      <button class="icon" onClick={panel} aria-label="Machine" aria-pressed={settings.value.panel} title="Machine (Ctrl+Shift+M)">
        <Icon name="panel" />
      </button>
    </header>
  );
}

function Title() {
  const c = open.value;
  const [editing, edit] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => box.current?.select(), [editing]);
  const model = props.value?.model?.name ?? "";
  if (!c) return <div class="title"><b>New chat</b><span class="sub">{model}</span></div>;
  if (!editing) {
    return (
      <div class="title">
        <h1><button class="bare" onClick={() => edit(true)} title="Rename">{c.title}</button></h1>
        <span class="sub">{model}</span>
      </div>
    );
  }
  const done = (keep: boolean) => {
    if (keep && box.current) void rename(c.id, box.current.value);
    edit(false);
  };
  return (
    <div class="title">
      <input ref={box} aria-label="Name of the conversation" value={c.title} maxLength={200} onBlur={() => done(true)}
        onKeyDown={(e) => {
          if (e.key === "Enter") done(true);
          else if (e.key === "Escape") {
            e.preventDefault();
            done(false);
          }
        }} />
    </div>
  );
}

/// Follows the end of the answer until the reader scrolls up.
function Scroller() {
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const [away, setAway] = useState(false);
  const toEnd = () => {
    follows.current = true;
    box.current!.scrollTop = box.current!.scrollHeight;
  };
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => follows.current && toEnd());
    watch.observe(inner.current!);
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  const reply = replyIn(current.value);
  useLayoutEffect(() => {
    if (!wanted.value) toEnd();
  }, [current.value, reply?.id]);
  useEffect(() => {
    const at = wanted.value && document.getElementById("m-" + wanted.value);
    if (!at) return;
    follows.current = false;
    at.scrollIntoView({ block: "center" });
    at.focus();
    wanted.value = null;
  });
  const scrolled = () => {
    const b = box.current!;
    const far = b.scrollHeight - b.scrollTop - b.clientHeight;
    follows.current = far < 30;
    setAway(far > 200);
  };
  return (
    <div class="scroller" ref={box} onScroll={scrolled} tabIndex={-1}>
      <div class="column" ref={inner}>
        {trouble.value && !props.value ? <Trouble /> : !lasting.value && <p class="card">This browser keeps nothing for this page: conversations are lost when it is closed.</p>}
        {path.value.length ? path.value.map((m) => <MessageView key={m.id} message={m} />) : current.value === null && <Welcome />}
      </div>
      {away && (
        <button class="icon to-end" onClick={toEnd} aria-label="To the end">
          <Icon name="down" />
          {reply && <i class="badge" />}
        </button>
      )}
    </div>
  );
}

function Trouble() {
  const t = trouble.value!;
  return (
    <div class="card" role="alert">
      <p>{t.text}</p>
      <KeyForm failure={t} />
    </div>
  );
}

function Welcome() {
  const m = props.value?.model;
  if (trouble.value || !m) return null;
  return (
    <div class="welcome">
      <h2>{m.name}</h2>
      <p class="sub">{props.value?.has_chat_template === false ? "This model has no chat template: it goes on with what you write." : "Ask something. Everything stays on this machine and in this browser."}</p>
    </div>
  );
}
