import type { Props } from "../api";
import { bytes, context as short, fixed, whole } from "../format";

type Cache = NonNullable<Props["cache"]>;
const W = 280;
const H = 84;

/// Bytes of this chat's cache, and what they were with full attention in every layer, over the context.
export function CacheFigure({ cache: c, tokens, context }: { cache: Cache; tokens: number; context: number | undefined }) {
  const ours = (n: number) => c.fixed_bytes + c.bytes_per_token * n;
  const full = (n: number) => c.full_bytes_per_token * n;
  const reach = Math.max(tokens, Math.min(context ?? Infinity, Math.max(tokens * 1.25, 4096)));
  const times = full(reach) / ours(reach);
  const alike = c.fixed_bytes === 0 && c.bytes_per_token === c.full_bytes_per_token;
  const X = (n: number) => (n / reach) * W;
  const top = Math.max(full(reach), ours(reach));
  const Y = (b: number) => H - (b / top) * (H - 6);
  const at = Math.min(tokens, reach);
  // Before anything is said, what a full context would take.
  const n = tokens || Math.round(reach);
  return (
    <section class="cache">
      <h3>{tokens ? "Cache of this chat" : `Cache at ${whole(n)} tokens`}</h3>
      <div class="pairs">
        <span><i class="full" />{bytes(ours(n))}</span>
        {!alike && <span><i class="grey" />{bytes(full(n))} with full attention</span>}
      </div>
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Cache at ${whole(n)} tokens: ${bytes(ours(n))}; with full attention everywhere ${bytes(full(n))}`}>
        <path class="area plain" d={`M0 ${Y(full(0))}L${W} ${Y(full(reach))}V${H}H0Z`} />
        <path class="area" d={`M0 ${Y(ours(0))}L${W} ${Y(ours(reach))}V${H}H0Z`} />
        <path class="line plain" d={`M0 ${Y(full(0))}L${W} ${Y(full(reach))}`} />
        <path class="line" d={`M0 ${Y(ours(0))}L${W} ${Y(ours(reach))}`} />
        <line class="now" x1={X(at)} x2={X(at)} y1={0} y2={H} />
        {!alike && <circle class="dot plain" cx={X(at)} cy={Y(full(at))} r="3.5" />}
        <circle class="dot" cx={X(at)} cy={Y(ours(at))} r="4" />
      </svg>
      <div class="axis"><span>{tokens ? `${whole(tokens)} tokens now` : "0"}</span><span>{short(Math.round(reach))}</span></div>
      <p class="sub">
        {alike ? "Every layer has full attention." : times >= 1 ? `${fixed(times, 1)} times smaller at ${whole(reach)} tokens.` : `${fixed(1 / times, 1)} times larger at ${whole(reach)} tokens: states count before rows do.`}
      </p>
    </section>
  );
}
