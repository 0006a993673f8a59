// One reply being streamed: it owns its request, gathers what comes, shows it at most once a frame and writes it down once
// a second. The conversation around it is not drawn again.
import { signal, type Signal } from "@preact/signals";
import { ApiError, ask } from "../api";
import { ours, save } from "../store/state";
import type { Failure, Message, Stats, Status } from "../store/types";
import { events } from "./sse";

export interface Shown {
  content: string;
  thinking: string;
  stats: Stats;
  /// Nothing has come yet; thinking; answering.
  phase: "waiting" | "thinking" | "writing";
}

export interface Request {
  path: string;
  body: unknown;
}

const KEEP_MS = 1000;
/// An answer that comes in one piece is taken in turns this long, and drawn by so many characters a frame.
const TURN_MS = 8;
const STEP = 2500;

/// Lets the page draw and listen. Unlike timers, messages are not slowed down in hidden pages.
const rest = () =>
  new Promise<void>((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      done();
    };
    port2.postMessage(0);
  });

export class Reply {
  readonly shown: Signal<Shown>;
  private stopper = new AbortController();
  private started = performance.now();
  private firstAt = 0;
  private answerAt = 0;
  private content = "";
  private thinking = "";
  private stats: Stats = { tokens: 0 };
  private finish: Status | null = null;
  private drawing = false;
  private stale = false;
  private keptAt = 0;

  constructor(private message: Message) {
    this.shown = signal(this.now());
    ours.add(message.id);
  }

  get id() {
    return this.message.id;
  }
  get conversation() {
    return this.message.conversation;
  }
  stop(): void {
    this.finish ??= "stopped";
    this.stopper.abort();
  }

  /// Runs to its end, which is never an exception. Returns the message as it is kept.
  async run({ path, body }: Request): Promise<Message> {
    let failure: Failure | undefined;
    try {
      const response = await ask(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: this.stopper.signal,
      });
      let rested = performance.now();
      for await (const data of events(response)) {
        if (data === "[DONE]") break;
        this.take(JSON.parse(data));
        if (performance.now() - rested > TURN_MS) {
          await rest();
          rested = performance.now();
        }
      }
      if (!this.finish) throw new ApiError({ kind: "broken", text: "The connection broke off." });
    } catch (e) {
      if (!this.finish) failure = this.failureOf(e);
    }
    while (!document.hidden && this.behind()) {
      this.draw();
      await new Promise((done) => setTimeout(done, 16));
    }
    return this.close(failure);
  }

  private behind(): boolean {
    const { content, thinking } = this.shown.value;
    return content.length < this.content.length || thinking.length < this.thinking.length;
  }

  private failureOf(e: unknown): Failure {
    if (e instanceof ApiError) return e.failure;
    const any = this.content || this.thinking;
    return { kind: any ? "broken" : "network", text: any ? "The connection broke off." : "The server does not answer." };
  }

  private take(chunk: any): void {
    if (chunk.error) throw new ApiError({ kind: "server", text: String(chunk.error.message ?? "The server failed.") });
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    const thought = delta.reasoning_content ?? "";
    const said = delta.content ?? choice?.text ?? "";
    if (thought || said) this.grow(thought, said);
    if (choice?.finish_reason) this.finish ??= choice.finish_reason === "length" ? "length" : "done";
    if (chunk.usage || chunk.timings) this.measure(chunk.usage ?? {}, chunk.timings ?? {});
    this.draw();
    if (performance.now() - this.keptAt > KEEP_MS) void this.keep();
  }

  private grow(thought: string, said: string): void {
    const now = performance.now();
    this.firstAt ||= now;
    this.thinking += thought;
    this.content += said;
    if (said && !this.answerAt) this.answerAt = now;
    const seconds = (now - this.firstAt) / 1000;
    const tokens = this.stats.tokens + 1;
    this.stats = { ...this.stats, tokens, firstMs: this.firstAt - this.started };
    if (seconds > 0.2) this.stats.perSecond = (tokens - 1) / seconds;
    if (this.thinking) this.stats.thinkMs = (this.answerAt || now) - this.firstAt;
  }

  private measure(usage: any, timings: any): void {
    const s: Stats = { ...this.stats };
    const put = (key: keyof Stats, value: unknown) => {
      if (typeof value === "number" && Number.isFinite(value)) s[key] = value;
    };
    put("promptTokens", usage.prompt_tokens);
    put("cachedTokens", usage.prompt_tokens_details?.cached_tokens);
    put("tokens", usage.completion_tokens ?? timings.predicted_n);
    put("perSecond", timings.predicted_per_second);
    put("queueMs", timings.queue_ms);
    if (timings.prompt_n > 0 && timings.prompt_ms > 0) put("promptPerSecond", (1000 * timings.prompt_n) / timings.prompt_ms);
    this.stats = s;
  }

  private now(): Shown {
    const phase = this.content ? "writing" : this.thinking ? "thinking" : "waiting";
    return { content: this.content, thinking: this.thinking, stats: this.stats, phase };
  }

  private step(): Shown {
    const { content, thinking } = this.shown.value;
    const now = this.now();
    return { ...now, content: now.content.slice(0, content.length + STEP), thinking: now.thinking.slice(0, thinking.length + STEP) };
  }

  // At most once a frame, and where drawing takes long no more than a third of the time. A hidden page gets no frames;
  // there a timer will do.
  private draw(): void {
    this.stale = true;
    if (this.drawing) return;
    this.drawing = true;
    const show = () => {
      const start = performance.now();
      this.shown.value = this.step();
      this.stale = this.behind();
      setTimeout(() => {
        const took = performance.now() - start;
        setTimeout(() => {
          this.drawing = false;
          if (this.stale) this.draw();
        }, took > 12 ? 2 * took : 0);
      });
    };
    if (document.hidden) setTimeout(show, 500);
    else requestAnimationFrame(show);
  }

  private asMessage(status: Status, failure?: Failure): Message {
    const { failure: _, beat: __, ...rest } = this.message;
    return {
      ...rest,
      content: this.content,
      status,
      stats: this.stats,
      ...(this.thinking ? { thinking: this.thinking } : {}),
      ...(failure ? { failure } : {}),
      ...(status === "streaming" ? { beat: Date.now() } : {}),
    };
  }

  private async keep(): Promise<void> {
    this.keptAt = performance.now();
    await save([this.asMessage("streaming")]).catch(() => {});
  }

  /// What came so far, as a reply that was stopped.
  cutOff(): Message {
    return this.asMessage("stopped");
  }

  private close(failure?: Failure): Message {
    this.stats = { ...this.stats, totalMs: performance.now() - this.started };
    this.message = this.asMessage(failure ? "error" : (this.finish ?? "stopped"), failure);
    this.stale = false;
    this.shown.value = this.now();
    return this.message;
  }
}
