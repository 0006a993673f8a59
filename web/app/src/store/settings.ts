// Settings of this browser, not of a conversation. localStorage: they are small, and wanted before anything is drawn.
import { effect, signal } from "@preact/signals";
import type { Sampling } from "./types";

export interface Settings {
  theme: "auto" | "light" | "dark";
  key: string;
  panel: boolean;
  sidebar: boolean;
  /// What new conversations begin with.
  fresh: { system: string; sampling: Sampling };
}

const NAME = "jet.settings";
const narrow = () => matchMedia("(max-width: 1100px)").matches;
const defaults = (): Settings => ({ theme: "auto", key: "", panel: !narrow(), sidebar: true, fresh: { system: "", sampling: {} } });

function read(): Settings {
  try {
    return { ...defaults(), ...JSON.parse(localStorage.getItem(NAME) ?? "{}") };
  } catch {
    return defaults();
  }
}

export const settings = signal<Settings>(read());
export const set = (change: Partial<Settings>) => {
  settings.value = { ...settings.value, ...change };
  keep("localStorage", NAME, JSON.stringify(settings.value));
};

export function beginSettings(): void {
  effect(() => {
    const { theme } = settings.value;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  });
  addEventListener("storage", (e) => {
    if (e.key === NAME) settings.value = read();
  });
}

/// A full or forbidden storage is no reason to fail.
export function keep(where: "localStorage" | "sessionStorage", name: string, value: string): void {
  try {
    if (value) window[where].setItem(name, value);
    else window[where].removeItem(name);
  } catch {
    /* nothing is lost but the memory of it */
  }
}

/// Reads a value and forgets it.
export function take(where: "localStorage" | "sessionStorage", name: string): string | null {
  try {
    const value = window[where].getItem(name);
    window[where].removeItem(name);
    return value;
  } catch {
    return null;
  }
}

// What is being typed: kept for the tab (a reload brings it back) and for the browser (so does a new tab).
export function draftOf(name: string): string {
  try {
    return sessionStorage.getItem("jet.draft." + name) ?? localStorage.getItem("jet.draft." + name) ?? "";
  } catch {
    return "";
  }
}
export function keepDraft(name: string, text: string): void {
  keep("sessionStorage", "jet.draft." + name, text);
  keep("localStorage", "jet.draft." + name, text);
}
