import { useEffect } from "preact/hooks";
import { hasChat } from "../api";
import { replyIn, said, stop } from "../chat/chat";
import { MachinePanel } from "../machine/MachinePanel";
import { address, go, place } from "../router";
import { Runs } from "../runs/Runs";
import { current } from "../store/state";
import { set, settings } from "../store/settings";
import { ChatView } from "./ChatView";
import { drawer } from "./drawer";
import { focusComposer } from "./Composer";
import { SettingsDialog } from "./SettingsDialog";
import { Sidebar } from "./Sidebar";
import { Toasts } from "./toast";

export function App() {
  useEffect(() => {
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const { sidebar, panel } = settings.value;
  const chat = place.value.view === "chat" && hasChat.value;
  const classes = ["app", sidebar ? "" : "no-side", chat && panel ? "with-panel" : "", drawer.value ? `drawer-${drawer.value}` : ""];
  return (
    <div class={classes.filter(Boolean).join(" ")}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the {chat ? "chat" : "page"}
      </a>
      <Sidebar />
      <main id="main" tabIndex={-1} inert={drawer.value !== null}>{chat ? <ChatView /> : <Runs />}</main>
      {chat && <MachinePanel />}
      <div class="veil" onClick={() => (drawer.value = null)} />
      <SettingsDialog />
      <Toasts />
      <div class="unseen" role="status" aria-live="polite">
        {said.value}
      </div>
    </div>
  );
}

function skip(e: Event) {
  e.preventDefault();
  document.getElementById("main")?.focus();
}

function keys(e: KeyboardEvent): void {
  const command = e.ctrlKey || e.metaKey;
  if (document.querySelector("dialog[open]")) return;
  if (command && e.shiftKey && e.key.toLowerCase() === "o") {
    e.preventDefault();
    go(address.fresh);
    focusComposer();
  } else if (command && !e.shiftKey && e.key.toLowerCase() === "k") {
    e.preventDefault();
    set({ sidebar: true });
    if (matchMedia("(max-width: 760px)").matches) drawer.value = "side";
    requestAnimationFrame(() => document.getElementById("search")?.focus());
  } else if (command && e.shiftKey && e.key.toLowerCase() === "m") {
    e.preventDefault();
    set({ panel: !settings.value.panel });
  } else if (e.key === "Escape" && !e.defaultPrevented) {
    if (drawer.value) drawer.value = null;
    else if (replyIn(current.value)) stop();
  }
}
