import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { replyIn, send, stop } from "../chat/chat";
import { begun, current, path } from "../store/state";
import { draftOf, keepDraft } from "../store/settings";
import { editing } from "./editing";
import { Icon } from "./Icon";

export const focusComposer = () => requestAnimationFrame(() => document.getElementById("composer")?.focus());
const touch = () => matchMedia("(pointer: coarse)").matches;

export function Composer() {
  const name = current.value ?? "new";
  const box = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(() => draftOf(name));
  const busy = replyIn(current.value) !== null;
  const before = useRef(name);
  useLayoutEffect(() => {
    // Typed while the conversation was being begun.
    if (before.current === "new" && name === begun.value && text) {
      keepDraft(name, text);
      keepDraft("new", "");
    }
    before.current = name;
    setText(draftOf(name));
  }, [name]);
  useEffect(() => {
    if (!touch()) box.current?.focus();
  }, [name]);
  useLayoutEffect(() => fit(box.current!), [text, name]);

  const write = (value: string) => {
    setText(value);
    keepDraft(name, value);
  };
  const submit = () => {
    if (busy || !text.trim()) return;
    const sent = text;
    setText("");
    // The draft stays until the message is written down, and comes back where it cannot be.
    const stored = () => draftOf(name) === sent && keepDraft(name, "");
    send(sent, stored).catch(() => write(sent));
  };
  const key = (e: KeyboardEvent) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing && (!touch() || e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      submit();
    } else if (e.key === "ArrowUp" && !text && !busy) {
      const mine = path.value.filter((m) => m.role === "user").pop();
      if (!mine) return;
      e.preventDefault();
      editing.value = mine.id;
    }
  };
  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <textarea id="composer" ref={box} rows={1} value={text} placeholder="Write a message" aria-label="Message"
        onInput={(e) => write(e.currentTarget.value)} onKeyDown={key} />
      {busy ? (
        <button type="button" class="icon round stop" onClick={stop} aria-label="Stop" title="Stop (Esc)"><Icon name="stop" /></button>
      ) : (
        <button type="submit" class="icon round primary" disabled={!text.trim()} aria-label="Send" title="Send (Enter)"><Icon name="send" /></button>
      )}
    </form>
  );
}

/// As high as its text, up to a third of the window.
export function fit(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = Math.min(area.scrollHeight + 2, Math.max(120, innerHeight / 3)) + "px";
}
