import { useMemo, useState } from "preact/hooks";
import { copyText } from "../ui/copy";
import { Icon } from "../ui/Icon";
import { highlight } from "./code";
import { cleanCode } from "./safe";

/// While code is still being written, more than this is coloured only once it is complete.
const LONG = 6000;

export function CodeBlock({ text, language, open }: { text: string; language: string; open: boolean }) {
  const name = language.trim().split(/\s+/)[0]!.toLowerCase().slice(0, 30);
  const html = useMemo(() => {
    if (open && text.length > LONG) return null;
    const colours = highlight(text, name);
    return colours === null ? null : cleanCode(colours);
  }, [text, name, open]);
  return (
    <figure class="code">
      <figcaption>
        <span>{name || "text"}</span>
        <CopyButton text={text} />
      </figcaption>
      <pre tabIndex={0} aria-label={`Code, ${name || "text"}`}>
        {html === null ? <code key="plain">{text}</code> : <code key="html" dangerouslySetInnerHTML={{ __html: html }} />}
      </pre>
    </figure>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button class="quiet small" onClick={copy} aria-label={copied ? "Copied" : "Copy code"}>
      <Icon name={copied ? "check" : "copy"} />
      {copied ? "Copied" : "Copy"}
    </button>
  );
}
