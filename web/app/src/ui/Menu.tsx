import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./Icon";

export interface Item {
  name: string;
  icon: IconName;
  run: () => void;
}

/// A button with a list of commands: arrows move, Escape closes and goes back to the button.
export function Menu({ label, items }: { label: string; items: Item[] }) {
  const [at, setAt] = useState<{ x: number; y: number } | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const close = (back = true) => {
    setAt(null);
    if (back) button.current?.focus();
  };
  useEffect(() => {
    if (!at) return;
    list.current?.querySelector("button")?.focus();
    const outside = (e: Event) => !list.current?.contains(e.target as Node) && !button.current?.contains(e.target as Node) && close(false);
    addEventListener("pointerdown", outside);
    addEventListener("scroll", outside, true);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("scroll", outside, true);
    };
  }, [at]);
  const open = (e: MouseEvent) => {
    e.preventDefault();
    e.stopPropagation();
    const box = button.current!.getBoundingClientRect();
    setAt(at ? null : { x: Math.min(box.left, innerWidth - 190), y: Math.min(box.bottom + 4, innerHeight - 40 * items.length - 12) });
  };
  const key = (e: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (e.key === "Escape" || e.key === "Tab") {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if (step) {
      e.preventDefault();
      const all = [...list.current!.querySelectorAll("button")];
      all[(all.indexOf(document.activeElement as HTMLButtonElement) + step + all.length) % all.length]!.focus();
    }
  };
  return (
    <>
      <button ref={button} class="icon small more" aria-label={label} aria-haspopup="menu" aria-expanded={at !== null} onClick={open}>
        <Icon name="more" />
      </button>
      {at && (
        <div ref={list} class="menu" role="menu" aria-label={label} style={{ left: at.x + "px", top: at.y + "px" }} onKeyDown={key}>
          {items.map((item) => (
            <button role="menuitem" key={item.name} onClick={(e) => { e.preventDefault(); e.stopPropagation(); close(); item.run(); }}>
              <Icon name={item.icon} />
              {item.name}
            </button>
          ))}
        </div>
      )}
    </>
  );
}
