import { effect } from "@preact/signals";
import { render } from "preact";
import { readProps } from "./api";
import { beginChat } from "./chat/chat";
import { beginRouter } from "./router";
import { readRuns } from "./runs/data";
import { begin } from "./store/state";
import { beginSettings, settings } from "./store/settings";
import { App } from "./ui/App";

beginSettings();
start();

async function start(): Promise<void> {
  await begin();
  await beginChat();
  await beginRouter();
  // Asked again whenever the key changes.
  let key: string | null = null;
  effect(() => {
    if (settings.value.key === key) return;
    key = settings.value.key;
    void readProps();
    void readRuns();
  });
  render(<App />, document.getElementById("app")!);
}
