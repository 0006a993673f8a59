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
  let known: Promise<unknown> = Promise.resolve();
  effect(() => {
    if (settings.value.key === key) return;
    key = settings.value.key;
    known = readProps();
    void readRuns();
  });
  // Whether there is a chat at all; a server that is slow to say so is not waited for.
  await Promise.race([known, new Promise((done) => setTimeout(done, 300))]);
  render(<App />, document.getElementById("app")!);
}
