import katex from "katex";
import { useMemo } from "preact/hooks";
import { cleanMath } from "./safe";

const LONGEST = 5000;

export function Maths({ tex, display }: { tex: string; display: boolean }) {
  const html = useMemo(() => {
    if (tex.length > LONGEST) return null;
    try {
      const drawn = katex.renderToString(tex, { displayMode: display, throwOnError: true, trust: false, strict: "ignore", maxSize: 20, maxExpand: 500 });
      // The TeX itself, for programs: a screen reader would read it after the formula.
      return cleanMath(drawn.replace(/<annotation[^>]*>[^<]*<\/annotation>/g, ""));
    } catch {
      return null; // not TeX, or not yet: shown as it was written
    }
  }, [tex, display]);
  if (html === null) return <code class="tex">{display ? `$$${tex}$$` : `$${tex}$`}</code>;
  return display ? (
    <div class="maths scroll" dangerouslySetInnerHTML={{ __html: html }} />
  ) : (
    <span class="maths" dangerouslySetInnerHTML={{ __html: html }} />
  );
}
