import { signal } from "@preact/signals";

/// Which side panel lies over the page, where it is too narrow to stand beside it.
export const drawer = signal<"side" | "panel" | null>(null);
