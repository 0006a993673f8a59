// System prompt and sampling of the open conversation. Every change holds from the next answer on; an empty field is the
// model's own setting.
import { useState } from "preact/hooks";
import { props } from "../api";
import { open, sampling, setSampling, setSystem, system } from "../store/state";
import { set } from "../store/settings";
import type { Sampling } from "../store/types";
import { Dialog } from "./Dialog";

type NumberKey = Exclude<keyof Sampling, "stop" | "thinking">;
interface Field {
  key: NumberKey;
  name: string;
  help: string;
  step: number;
  min?: number;
  max?: number;
  neutral: string;
}

const FIELDS: Field[] = [
  { key: "temperature", name: "Temperature", help: "0 always takes the likeliest token", step: 0.1, min: 0, neutral: "1" },
  { key: "top_p", name: "Top p", help: "the likeliest tokens that make up this share", step: 0.05, min: 0, max: 1, neutral: "1" },
  { key: "top_k", name: "Top k", help: "so many likeliest tokens; 0 is all", step: 1, min: 0, neutral: "0" },
  { key: "min_p", name: "Min p", help: "at least this share of the likeliest", step: 0.01, min: 0, max: 1, neutral: "0" },
  { key: "typical_p", name: "Typical p", help: "tokens of usual surprise; 1 is off", step: 0.05, min: 0, max: 1, neutral: "1" },
  { key: "repetition_penalty", name: "Repetition penalty", help: "above 1 avoids what was said", step: 0.05, min: 0, neutral: "1" },
  { key: "presence_penalty", name: "Presence penalty", help: "once for each token that occurred", step: 0.1, min: -2, max: 2, neutral: "0" },
  { key: "frequency_penalty", name: "Frequency penalty", help: "for each time it occurred", step: 0.1, min: -2, max: 2, neutral: "0" },
  { key: "max_tokens", name: "Longest answer", help: "in tokens", step: 1, min: 1, neutral: "no limit" },
  { key: "seed", name: "Seed", help: "the same seed draws the same answer", step: 1, min: 0, neutral: "random" },
];

export function ChatSettings({ onClose }: { onClose: () => void }) {
  const [kept, setKept] = useState(false);
  const fresh = () => {
    set({ fresh: { system: system.value, sampling: sampling.value } });
    setKept(true);
  };
  const reset = () => {
    void setSystem("");
    void setSampling({});
  };
  return (
    <Dialog title={open.value ? "Settings of this chat" : "Settings of the new chat"} onClose={onClose}>
      <label class="field">
        <span>System prompt</span>
        <textarea rows={4} value={system.value} placeholder="None" onInput={(e) => void setSystem(e.currentTarget.value)} />
      </label>
      {props.value?.thinks && <ThinkingChoice />}
      <div class="grid">
        {FIELDS.map((f) => <NumberField key={f.key} field={f} />)}
      </div>
      <Stops />
      <footer class="row end">
        <button onClick={reset}>Back to the model's</button>
        <button onClick={fresh} disabled={kept}><span role="status">{kept ? "New chats begin so" : "Use for new chats"}</span></button>
      </footer>
    </Dialog>
  );
}

function change(key: keyof Sampling, value: Sampling[keyof Sampling] | undefined): void {
  const next: Record<string, unknown> = { ...sampling.value };
  if (value === undefined) delete next[key];
  else next[key] = value;
  void setSampling(next as Sampling);
}

function NumberField({ field: f }: { field: Field }) {
  const given = sampling.value[f.key];
  const own = props.value?.sampling?.[f.key];
  const [text, setText] = useState(given === undefined ? "" : String(given));
  const value = Number(text);
  const bad = text.trim() !== "" && (!Number.isFinite(value) || (f.min !== undefined && value < f.min) || (f.max !== undefined && value > f.max) || (f.step === 1 && !Number.isInteger(value)));
  const write = (t: string) => {
    setText(t);
    const n = Number(t);
    const fine = t.trim() !== "" && Number.isFinite(n) && !(f.min !== undefined && n < f.min) && !(f.max !== undefined && n > f.max) && !(f.step === 1 && !Number.isInteger(n));
    if (t.trim() === "") change(f.key, undefined);
    else if (fine) change(f.key, n);
  };
  const shown = given === undefined && !bad && text !== "" ? "" : text;
  return (
    <label class={bad ? "field bad" : "field"}>
      <span>{f.name}</span>
      <input type="text" inputMode={f.step === 1 ? "numeric" : "decimal"} value={shown} placeholder={own === undefined ? f.neutral : String(own)} aria-invalid={bad}
        onInput={(e) => write(e.currentTarget.value)} />
      <small>{bad ? range(f) : f.help}</small>
    </label>
  );
}

const range = (f: Field) =>
  (f.step === 1 ? "A whole number" : "A number") + (f.min !== undefined && f.max !== undefined ? ` from ${f.min} to ${f.max}` : f.min !== undefined ? ` from ${f.min} on` : "");

function Stops() {
  const [text, setText] = useState((sampling.value.stop ?? []).join("\n"));
  const write = (t: string) => {
    setText(t);
    const list = t.split("\n").filter(Boolean);
    change("stop", list.length ? list : undefined);
  };
  return (
    <label class="field">
      <span>Stop at</span>
      <textarea rows={2} value={sampling.value.stop ? text : ""} placeholder="Texts that end the answer, one on each line" onInput={(e) => write(e.currentTarget.value)} />
    </label>
  );
}

function ThinkingChoice() {
  const now = sampling.value.thinking;
  const write = (v: string) => change("thinking", v === "" ? undefined : v === "on");
  return (
    <label class="field">
      <span>Thinking</span>
      <select value={now === undefined ? "" : now ? "on" : "off"} onChange={(e) => write(e.currentTarget.value)}>
        <option value="">As the model has it</option>
        <option value="on">On</option>
        <option value="off">Off</option>
      </select>
    </label>
  );
}
