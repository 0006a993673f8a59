// One message. A streaming one listens to its Reply, so that only it is drawn when text comes.
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { choose, messages } from "../store/state";
import { edit, regenerate, replies, replyIn } from "../chat/chat";
import { duration, milliseconds, round, whole } from "../format";
import { Markdown } from "../markdown/Markdown";
import { siblings } from "../store/tree";
import { draftOf, keepDraft } from "../store/settings";
import type { Message, Stats } from "../store/types";
import { fit } from "./Composer";
import { copyText } from "./copy";
import { editing } from "./editing";
import { Icon, type IconName } from "./Icon";
import { KeyForm } from "./KeyForm";

/// A tab writes at least once a second; one that has not for so long is gone.
const GONE_MS = 5000;

export const MessageView = memo(function MessageView({ message: m }: { message: Message }) {
  const label = m.role === "user" ? "You" : "Answer";
  return (
    <article id={"m-" + m.id} class={"message " + m.role} aria-label={label} tabIndex={-1}>
      {m.role === "user" ? <UserMessage m={m} /> : <Answer m={m} />}
    </article>
  );
});

function UserMessage({ m }: { m: Message }) {
  if (editing.value === m.id) return <Editor m={m} />;
  return (
    <>
      <div class="bubble">{m.content}</div>
      <div class="actions">
        <Branches m={m} />
        <CopyAction text={m.content} />
        <Action icon="edit" name="Edit" onClick={() => (editing.value = m.id)} />
      </div>
    </>
  );
}

function Editor({ m }: { m: Message }) {
  const draft = "edit." + m.id;
  const busy = replyIn(m.conversation) !== null;
  const [text, setText] = useState(() => draftOf(draft) || m.content);
  const box = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => fit(box.current!), [text]);
  // At once: what is typed right after the click would be selected, or not, by chance.
  useLayoutEffect(() => {
    box.current!.focus();
    box.current!.setSelectionRange(text.length, text.length);
  }, []);
  const write = (value: string) => {
    setText(value);
    keepDraft(draft, value === m.content ? "" : value);
  };
  const close = () => {
    editing.value = null;
    document.getElementById("composer")?.focus();
  };
  const cancel = () => {
    keepDraft(draft, "");
    close();
  };
  const submit = () => {
    if (!text.trim() || busy) return;
    close();
    edit(m, text, () => keepDraft(draft, "")).catch(() => {});
  };
  const key = (e: KeyboardEvent) => {
    if (e.key === "Escape") {
      e.preventDefault();
      cancel();
    } else if (e.key === "Enter" && !e.shiftKey && !e.isComposing && (!matchMedia("(pointer: coarse)").matches || e.ctrlKey)) {
      e.preventDefault();
      submit();
    }
  };
  return (
    <form class="editor" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <textarea ref={box} value={text} aria-label="Edit the message" onInput={(e) => write(e.currentTarget.value)} onKeyDown={key} />
      <div class="row end">
        <button type="button" onClick={cancel}>Cancel</button>
        <button type="submit" class="primary" disabled={!text.trim() || busy} title={busy ? "After the answer" : undefined}>Send</button>
      </div>
    </form>
  );
}

function Answer({ m }: { m: Message }) {
  const reply = replies.value.get(m.id);
  const live = reply?.shown.value;
  const { content, thinking, stats } = live ?? m;
  return (
    <div aria-busy={!!live}>
      {thinking && <Thinking text={thinking} ms={stats?.thinkMs} now={live?.phase === "thinking"} />}
      {content ? <Markdown text={content} growing={!!live} /> : live?.phase === "waiting" && <Waiting />}
      {!live && <Ending m={m} />}
      {!live && (
        <div class="actions">
          <Branches m={m} />
          {content && <CopyAction text={content} />}
          {!m.failure && !replyIn(m.conversation) && <Action icon="again" name="Answer again" onClick={() => void regenerate(m)} />}
          {stats && <Figures s={stats} />}
        </div>
      )}
    </div>
  );
}

const Waiting = () => <div class="waiting" role="img" aria-label="Waiting for the answer"><i /><i /><i /></div>;

function Thinking({ text, ms, now = false }: { text: string; ms?: number | undefined; now?: boolean }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="thinking" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{now ? <span class="alive">Thinking</span> : "Thought"}{ms ? (now ? " " : " for ") + duration(ms / 1000) : ""}</summary>
      {open && <Markdown text={text} growing={now} />}
    </details>
  );
}

function Ending({ m }: { m: Message }) {
  const [, tick] = useState(0);
  const open = m.status === "streaming";
  useEffect(() => {
    if (!open) return;
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [open]);
  if (m.failure) return <Failed m={m} />;
  if (m.status === "stopped") return <p class="ending">Stopped.</p>;
  if (m.status === "length") return <p class="ending">Cut off: the limit of tokens is reached.</p>;
  if (!open) return m.content || m.thinking ? null : <p class="ending">The model ended without a word.</p>;
  if (Date.now() - (m.beat ?? 0) < GONE_MS) return <p class="ending alive">Being written in another tab</p>;
  return <p class="ending">Broken off: the page was closed.</p>;
}

function Failed({ m }: { m: Message }) {
  const f = m.failure!;
  const wait = f.retryAfter ? ` It asks to wait ${f.retryAfter} s.` : "";
  const kept = m.content || m.thinking ? " What came is kept." : "";
  return (
    <div class="card failed" role="alert">
      <p>{f.text}{wait}{kept}</p>
      <KeyForm failure={f} retry={() => replyIn(m.conversation) || regenerate(m)} />
    </div>
  );
}

function Branches({ m }: { m: Message }) {
  const all = siblings(messages.value, m);
  if (all.length < 2) return null;
  const at = all.findIndex((x) => x.id === m.id);
  const step = (d: number) => () => all[at + d] && void choose(all[at + d]!);
  return (
    <span class="branches" role="group" aria-label={`Branch ${at + 1} of ${all.length}`}>
      <button class="icon small" disabled={at === 0} onClick={step(-1)} aria-label="Branch before"><Icon name="left" /></button>
      <span aria-hidden="true">{at + 1}/{all.length}</span>
      <button class="icon small" disabled={at === all.length - 1} onClick={step(1)} aria-label="Next branch"><Icon name="right" /></button>
    </span>
  );
}

const Action = ({ icon, name, onClick }: { icon: IconName; name: string; onClick: () => void }) => (
  <button class="icon small" onClick={onClick} aria-label={name} title={name}><Icon name={icon} /></button>
);

function CopyAction({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return <Action icon={copied ? "check" : "copy"} name={copied ? "Copied" : "Copy"} onClick={copy} />;
}

function Figures({ s }: { s: Stats }) {
  const parts = [s.tokens ? `${whole(s.tokens)} tokens` : "", s.perSecond ? `${round(s.perSecond)} tokens/s` : "", s.firstMs ? `first after ${milliseconds(s.firstMs)}` : ""];
  return <span class="figures-line">{parts.filter(Boolean).join(" · ")}</span>;
}
