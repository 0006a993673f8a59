// What a user does in a chat: send, stop, edit, regenerate, retry. Each makes messages and starts a Reply.
import { batch, signal } from "@preact/signals";
import { props } from "../api";
import * as state from "../store/state";
import { children, line } from "../store/tree";
import { keep, take } from "../store/settings";
import { newId, type Conversation, type Message, type Sampling } from "../store/types";
import { Reply, type Request } from "./reply";

/// Replies that are being streamed by this tab, of all conversations.
export const replies = signal<ReadonlyMap<string, Reply>>(new Map());
/// Read out by screen readers.
export const said = signal("");

export const replyIn = (conversation: string | null) => [...replies.value.values()].find((r) => r.conversation === conversation) ?? null;

const make = (conversation: string, parent: string | null, role: Message["role"], content: string, created: number): Message => ({
  id: newId(),
  conversation,
  parent,
  role,
  content,
  created,
  status: role === "user" ? "done" : "streaming",
  ...(role === "assistant" ? { beat: created } : {}),
});

/// `stored` is called once the message cannot be lost any more.
export async function send(text: string, stored: () => void): Promise<void> {
  const id = await state.ensure(text);
  await ask(id, state.leaf.value, text, stored);
}

/// Another user message where `message` stands, and an answer to it.
export const edit = (message: Message, text: string, stored: () => void) => ask(message.conversation, message.parent, text, stored);

async function ask(id: string, parent: string | null, text: string, stored: () => void): Promise<void> {
  const now = Date.now();
  const user = make(id, parent, "user", text, now);
  const answer = make(id, user.id, "assistant", "", now + 1);
  await state.add([user, answer], answer.id);
  stored();
  if (parent === null) {
    await state.change(id, (c) => (c.named ? c : { ...c, title: state.titleOf(text) }));
  }
  await stream(answer);
}

/// Another answer beside `message`. One that holds nothing, and that nothing follows, is taken anew in its place.
export async function regenerate(message: Message): Promise<void> {
  const { failure: _, stats: __, ...rest } = message;
  const empty = !message.content && !message.thinking && !children(state.messages.value, message.id).length;
  const now = Date.now();
  const answer: Message = empty
    ? { ...rest, status: "streaming", beat: now }
    : make(message.conversation, message.parent, "assistant", "", now);
  await state.add([answer], answer.id);
  await stream(answer);
}

async function stream(answer: Message): Promise<void> {
  const reply = new Reply(answer);
  replies.value = new Map(replies.value).set(answer.id, reply);
  said.value = "Answering";
  const kept = await reply.run(await request(answer));
  batch(() => {
    const left = new Map(replies.value);
    left.delete(answer.id);
    replies.value = left;
    state.settle(kept);
    said.value = kept.failure ? kept.failure.text : kept.status === "stopped" ? "Stopped" : "The answer is complete";
  });
  await state.save([kept]);
  state.ours.delete(answer.id);
  state.settle(kept); // its conversation may have been opened, and read, meanwhile
}

async function request(answer: Message): Promise<Request> {
  const { conversation, messages } = await state.whole(answer.conversation);
  const history = line(messages, answer.parent).filter((m) => m.role === "user" || m.content);
  const system = conversation?.system.trim();
  const common = { model: props.value?.model?.name ?? "default", stream: true, stream_options: { include_usage: true } };
  if (props.value?.has_chat_template === false) {
    const { chat_template_kwargs: _, ...sampling } = asked(conversation);
    return { path: "v1/completions", body: { ...common, prompt: running(system, history), ...sampling } };
  }
  const said = history.map((m) => ({ role: m.role, content: m.content }));
  const all = system ? [{ role: "system", content: system }, ...said] : said;
  return { path: "v1/chat/completions", body: { ...common, messages: all, ...asked(conversation) } };
}

/// For a model without a chat template: one text, which it goes on with. What the user adds begins a line.
const running = (system: string | undefined, history: Message[]) =>
  (system ? system + "\n" : "") + history.map((m, i) => (m.role === "user" && i > 0 ? "\n" : "") + m.content).join("");

/// Only what the user has set: the server knows the model's own settings.
function asked(conversation: Conversation | undefined): Record<string, unknown> {
  const { thinking, stop, ...numbers }: Sampling = conversation?.sampling ?? {};
  return {
    ...numbers,
    ...(stop?.length ? { stop } : {}),
    ...(thinking === undefined ? {} : { chat_template_kwargs: { enable_thinking: thinking } }),
  };
}

export const stop = () => replyIn(state.current.value)?.stop();

const LEFT = "jet.unwritten";

/// A page that goes away has no time for its database: what is being written and replies that are cut off are left where
/// writing is at once, and written down by the page that comes next in this tab.
export async function beginChat(): Promise<void> {
  addEventListener("pagehide", () => {
    const { conversations, messages } = state.unwritten();
    messages.push(...[...replies.value.values()].map((r) => r.cutOff()));
    const any = conversations.length || messages.length;
    keep("sessionStorage", LEFT, any ? JSON.stringify({ conversations, messages }) : "");
  });
  const text = take("sessionStorage", LEFT);
  if (!text) return;
  const left = JSON.parse(text) as state.Records;
  for (const c of left.conversations) await state.change(c.id, () => c);
  for (const m of left.messages) await state.save([m]);
}
