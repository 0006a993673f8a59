import { signal } from "@preact/signals";

interface Toast {
  id: number;
  text: string;
  action?: { name: string; run: () => void };
}

const toasts = signal<Toast[]>([]);
let next = 1;

export function toast(text: string, action?: Toast["action"]): void {
  const id = next++;
  toasts.value = [...toasts.value.slice(-2), { id, text, ...(action ? { action } : {}) }];
  setTimeout(() => close(id), action ? 9000 : 5000);
}

const close = (id: number) => {
  toasts.value = toasts.value.filter((t) => t.id !== id);
};

export const Toasts = () => (
  <div class="toasts" role="status" aria-live="polite">
    {toasts.value.map((t) => (
      <div class="toast" key={t.id}>
        <span>{t.text}</span>
        {t.action && (
          <button
            class="quiet accent"
            onClick={() => {
              t.action!.run();
              close(t.id);
            }}
          >
            {t.action.name}
          </button>
        )}
      </div>
    ))}
  </div>
);
