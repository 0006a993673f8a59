import { signal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { props } from "../api";
import { download, exportAll, importText } from "../chat/transfer";
import { set, settings, type Settings } from "../store/settings";
import { Dialog } from "./Dialog";
import { Icon } from "./Icon";
import { toast } from "./toast";

export const settingsOpen = signal(false);

const KEYS: [string, string][] = [
  ["Enter", "send"],
  ["Shift+Enter", "new line"],
  ["Esc", "stop the answer"],
  ["Up", "edit the last message, where nothing is typed"],
  ["Ctrl+Shift+O", "new chat"],
  ["Ctrl+K", "search"],
  ["Ctrl+Shift+M", "machine panel"],
];

export function SettingsDialog() {
  if (!settingsOpen.value) return null;
  return (
    <Dialog title="Settings" onClose={() => (settingsOpen.value = false)}>
      <label class="field">
        <span>Colours</span>
        <select value={settings.value.theme} onChange={(e) => set({ theme: e.currentTarget.value as Settings["theme"] })}>
          <option value="auto">As the system</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      <label class="field">
        <span>Key of the server</span>
        <input type="password" autocomplete="off" value={settings.value.key} placeholder="None" onChange={(e) => set({ key: e.currentTarget.value.trim() })} />
        <small>Kept in this browser. Only a server that was started with a key wants one.</small>
      </label>
      <Files />
      <h3>Keys</h3>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <>
            <dt><kbd>{key}</kbd></dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      {props.value?.version && <p class="sub">jet {props.value.version}</p>}
    </Dialog>
  );
}

function Files() {
  const file = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState("");
  const read = async () => {
    const chosen = file.current!.files?.[0];
    if (!chosen) return;
    try {
      const n = await importText(await chosen.text());
      toast(`Imported: ${n.conversations} conversations, ${n.messages} messages.`);
      settingsOpen.value = false;
    } catch (e) {
      setWrong((e as Error).message);
    }
    if (file.current) file.current.value = "";
  };
  const write = async () => download(`jet-conversations-${new Date().toISOString().slice(0, 10)}.json`, await exportAll(), "application/json");
  return (
    <div class="field">
      <span>Conversations</span>
      <div class="row">
        <button onClick={write}><Icon name="download" />Export all</button>
        <button onClick={() => file.current!.click()}><Icon name="upload" />Import</button>
        <input ref={file} type="file" accept=".json,application/json" hidden onChange={read} aria-label="File to import" />
      </div>
      {wrong ? <small class="wrong" role="alert">{wrong}</small> : <small>They are kept in this browser only.</small>}
    </div>
  );
}
