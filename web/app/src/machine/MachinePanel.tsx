// What the machine does: speed of the last answer, the cache of this chat against full attention's, the layers, and what
// the server has done. The server is asked once a second, only while the panel is to be seen.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { getJson, props, readProps, type ServerStats } from "../api";
import { replyIn } from "../chat/chat";
import { bytes, count, duration, fixed, milliseconds, round, whole } from "../format";
import { current, path } from "../store/state";
import { settings } from "../store/settings";
import type { Stats } from "../store/types";
import { drawer } from "../ui/drawer";
import { Icon } from "../ui/Icon";
import { CacheFigure } from "./CacheFigure";
import { LayerMap } from "./LayerMap";

const stats = signal<ServerStats | null>(null);
const POLL_MS = 1000;

function usePolling(active: boolean): void {
  useEffect(() => {
    if (!active) return;
    let asking = false;
    let lost = false;
    const stopper = new AbortController();
    const ask = async () => {
      if (asking || document.hidden) return;
      asking = true;
      const before = stats.value;
      stats.value = await getJson<ServerStats>("stats", stopper.signal).catch(() => null);
      // A server that is there again may have another model.
      if (stats.value && (lost || (stats.value.uptime_s ?? 0) < (before?.uptime_s ?? 0))) void readProps();
      lost = !stats.value;
      asking = false;
    };
    void ask();
    const timer = setInterval(ask, POLL_MS);
    return () => {
      clearInterval(timer);
      stopper.abort();
    };
  }, [active]);
}

function useWide(): boolean {
  const query = "(min-width: 1101px)";
  const [wide, setWide] = useState(matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const heard = () => setWide(list.matches);
    list.addEventListener("change", heard);
    return () => list.removeEventListener("change", heard);
  }, []);
  return wide;
}

export function MachinePanel() {
  const wide = useWide();
  const seen = wide ? settings.value.panel : drawer.value === "panel";
  usePolling(seen);
  if (!seen) return null;
  const p = props.value;
  return (
    <aside class="panel" aria-label="Machine">
      <header>
        <h2>Machine</h2>
        <button class="icon only-overlaid" onClick={() => (drawer.value = null)} aria-label="Close"><Icon name="close" /></button>
      </header>
      <Speed />
      {p?.cache && <CacheFigure cache={p.cache} tokens={tokensNow()} context={p.model?.context} />}
      {p?.layers?.length ? <LayerMap layers={p.layers} /> : null}
      <Model />
      <Server />
    </aside>
  );
}

/// Of the answer that is being written, else of the last one that has any.
function lastStats(): Stats | null {
  const reply = replyIn(current.value);
  if (reply) return reply.shown.value.stats;
  return path.value.filter((m) => m.stats && m.stats.tokens > 0).pop()?.stats ?? null;
}

/// Tokens of this chat. While an answer comes, the prompt is guessed from its length until the server counts it.
function tokensNow(): number {
  const reply = replyIn(current.value);
  const done = path.value.filter((m) => m.role === "assistant" && m.stats?.promptTokens !== undefined);
  const last = done[done.length - 1];
  const before = last ? last.stats!.promptTokens! + last.stats!.tokens : 0;
  if (!reply) return before;
  const s = reply.shown.value.stats;
  if (s.promptTokens !== undefined) return s.promptTokens + s.tokens;
  const asked = path.value.filter((m) => m.role === "user").pop()?.content.length ?? 0;
  return before + Math.round(asked / 4) + s.tokens;
}

const Figure = ({ value, name }: { value: string; name: string }) => (
  <div class="figure">
    <b>{value}</b>
    <span>{name}</span>
  </div>
);

function Speed() {
  const s = lastStats();
  const share = s?.promptTokens ? (s.cachedTokens ?? 0) / s.promptTokens : null;
  return (
    <div class="figures">
      <Figure value={round(s?.perSecond)} name="tokens/s" />
      <Figure value={milliseconds(s?.firstMs)} name="to the first token" />
      <Figure value={round(s?.promptPerSecond)} name="prompt tokens/s" />
      <Figure value={share === null ? "–" : fixed(100 * share, 0) + " %"} name="of the prompt from the cache" />
    </div>
  );
}

function Rows({ title, rows }: { title: string; rows: [string, string | null][] }) {
  const given = rows.filter(([, v]) => v !== null);
  if (!given.length) return null;
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {given.map(([k, v]) => (
          <>
            <dt>{k}</dt>
            <dd>{v}</dd>
          </>
        ))}
      </dl>
    </section>
  );
}

function Model() {
  const m = props.value?.model;
  if (!m) return null;
  return (
    <Rows title="Model" rows={[
      ["name", m.name],
      ["parameters", m.parameters ? count(m.parameters) : null],
      ["weights", m.weight_bytes ? bytes(m.weight_bytes) : null],
      ["context", m.context ? `${whole(tokensNow())} of ${whole(m.context)} tokens` : null],
      ["cache rows", props.value?.cache?.kv_type ?? null],
    ]} />
  );
}

function Server() {
  const s = stats.value;
  if (!s) return null;
  const of = (a?: number, b?: number) => (a === undefined ? null : b ? `${bytes(a)} of ${bytes(b)}` : bytes(a));
  const hits = s.prompt_tokens ? `${fixed((100 * (s.cached_tokens ?? 0)) / s.prompt_tokens, 0)} % of ${count(s.prompt_tokens)}` : null;
  return (
    <Rows title="Server" rows={[
      ["answering", s.running === undefined ? null : whole(s.running) + (s.waiting ? `, ${whole(s.waiting)} waiting` : "")],
      ["tokens/s now", s.decode_tps || s.prefill_tps ? `${round(s.decode_tps)} out, ${round(s.prefill_tps)} in` : "idle"],
      ["sequences", of(s.sequence_bytes, s.sequence_budget)],
      ["prefix cache", of(s.cache_bytes, s.cache_budget)],
      ["checkpoints", s.checkpoints === undefined ? null : whole(s.checkpoints)],
      ["prompt from cache", hits],
      ["tokens written", s.generated_tokens === undefined ? null : count(s.generated_tokens)],
      ["requests", s.requests === undefined ? null : whole(s.requests)],
      ["up for", s.uptime_s === undefined ? null : duration(s.uptime_s)],
    ]} />
  );
}
