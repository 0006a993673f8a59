import type { ComponentChildren } from "preact";
import { set, settings } from "../store/settings";
import { drawer } from "../ui/drawer";
import { Icon } from "../ui/Icon";

/// The bar above a page about runs, and its column.
export function Frame({ title, back, children }: { title: string; back?: string; children: ComponentChildren }) {
  const side = () => (matchMedia("(max-width: 760px)").matches ? (drawer.value = "side") : set({ sidebar: !settings.value.sidebar }));
  return (
    <>
      <header class="bar">
        <button class={settings.value.sidebar ? "icon only-narrow" : "icon"} onClick={side} aria-label="Conversations"><Icon name="menu" /></button>
        {back && <a class="button icon-link" href={back} aria-label="All searches" title="All searches"><Icon name="left" /></a>}
        <div class="title"><h1>{title}</h1></div>
      </header>
      <div class="scroller" tabIndex={-1}>
        <div class="report">{children}</div>
      </div>
    </>
  );
}
