import { place } from "../router";
import { Compare } from "./Compare";
import { RunList } from "./RunList";
import { RunPage } from "./RunPage";

export function Runs() {
  const p = place.value;
  if (p.view === "run") return <RunPage key={p.name} name={p.name} />;
  if (p.view === "compare") return <Compare key={p.names.join("/")} names={p.names} />;
  return <RunList />;
}
