// Where the page is, in the address:  #/  #/c/ID  #/runs  #/runs/NAME  #/compare/NAME/NAME...
import { effect, signal } from "@preact/signals";
import { drawer } from "./ui/drawer";
import { conversations, current, open, show } from "./store/state";

export type Place = { view: "chat" } | { view: "runs" } | { view: "run"; name: string } | { view: "compare"; names: string[] };

export const place = signal<Place>({ view: "chat" });

export const address = {
  fresh: "#/",
  chat: (id: string) => "#/c/" + id,
  runs: "#/runs",
  run: (name: string) => "#/runs/" + encodeURIComponent(name),
  compare: (names: string[]) => "#/compare/" + names.map(encodeURIComponent).join("/"),
};

export const go = (hash: string) => {
  location.hash = hash;
};

const decoded = (part: string) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

async function follow(): Promise<void> {
  const [what, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (what === "runs") place.value = rest[0] ? { view: "run", name: rest[0] } : { view: "runs" };
  else if (what === "compare") place.value = { view: "compare", names: rest.filter(Boolean) };
  else {
    const known = conversations.value.some((c) => c.id === rest[0] && !c.deleted);
    await show(what === "c" && known ? rest[0]! : null);
    place.value = { view: "chat" };
  }
}

export async function beginRouter(): Promise<void> {
  addEventListener("hashchange", () => {
    drawer.value = null;
    void follow();
  });
  await follow();
  // A conversation that begins, or is deleted, changes the address; going back does not begin it again.
  effect(() => {
    const at = place.value;
    if (at.view !== "chat") {
      document.title = (at.view === "run" ? at.name : "Searches") + " · jet";
      return;
    }
    const wanted = current.value ? address.chat(current.value) : address.fresh;
    document.title = open.value ? `${open.value.title} · jet` : "jet";
    if ((location.hash || "#/") !== wanted) history.replaceState(null, "", wanted);
  });
}
