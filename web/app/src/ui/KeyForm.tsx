import { useState } from "preact/hooks";
import { readProps } from "../api";
import { set, settings } from "../store/settings";
import type { Failure } from "../store/types";

/// What can be done about a failure: a key, where one is wanted, or another try.
export function KeyForm({ failure, retry }: { failure: Failure; retry?: () => void }) {
  const [key, setKey] = useState(settings.value.key);
  const again = () => {
    void readProps();
    retry?.();
  };
  if (failure.kind !== "key") return <button onClick={again}>Try again</button>;
  const submit = (e: Event) => {
    e.preventDefault();
    set({ key: key.trim() });
    again();
  };
  return (
    <form class="row" onSubmit={submit}>
      <input type="password" value={key} onInput={(e) => setKey(e.currentTarget.value)} aria-label="Key of the server" placeholder="Key" autocomplete="off" />
      <button class="primary" type="submit">{retry ? "Use it and try again" : "Use it"}</button>
    </form>
  );
}
