import { signal } from "@preact/signals";

/// The message whose text is being edited.
export const editing = signal<string | null>(null);
