import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./Icon";

/// The browser's own dialog: it keeps the focus inside, and Escape closes it.
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    box.current!.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog ref={box} onClose={onClose} aria-label={title} onClick={(e) => e.target === box.current && box.current?.close()}>
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          <button class="icon" onClick={() => box.current!.close()} aria-label="Close"><Icon name="close" /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
