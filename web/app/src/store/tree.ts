// The shape of a conversation: pure functions on its messages.
import type { Message } from "./types";

export type Messages = ReadonlyMap<string, Message>;

/// From the first message to `leaf`.
export function line(messages: Messages, leaf: string | null): Message[] {
  const out: Message[] = [];
  const seen = new Set<string>();
  for (let at = leaf; at !== null; ) {
    const message = messages.get(at);
    if (!message || seen.has(at)) break;
    seen.add(at);
    out.push(message);
    at = message.parent;
  }
  return out.reverse();
}

/// The messages that stand where `message` stands, oldest first.
export function siblings(messages: Messages, message: Message): Message[] {
  return children(messages, message.parent).filter((m) => m.role === message.role);
}

export function children(messages: Messages, parent: string | null): Message[] {
  const out = [...messages.values()].filter((m) => m.parent === parent);
  return out.sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

/// The end of the branch that was last written to below `message`.
export function newestLeaf(messages: Messages, message: Message): string {
  let at = message;
  for (;;) {
    const below = children(messages, at.id);
    if (!below.length) return at.id;
    at = below[below.length - 1]!;
  }
}

/// A leaf for a conversation whose own is missing.
export function anyLeaf(messages: Messages): string | null {
  const roots = children(messages, null);
  return roots.length ? newestLeaf(messages, roots[roots.length - 1]!) : null;
}
