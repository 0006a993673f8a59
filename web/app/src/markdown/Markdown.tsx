// A model's text as elements. Markdown's tokens become nodes directly: HTML in the text is shown as text, images are
// links (the page loads nothing), and links go to http, https and mail only. A block that has not changed is not drawn
// again.
import type { Token, Tokens } from "marked";
import { Component, type ComponentChildren, type VNode } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { CodeBlock } from "./CodeBlock";
import { Blocks, blocks, type MathToken } from "./lex";
import { Maths } from "./Maths";
import { decode, safeLink } from "./safe";

const DEEPEST = 24;

export function Markdown({ text, growing = false }: { text: string; growing?: boolean }) {
  const reader = useRef<Blocks | null>(null);
  const tokens = useMemo(() => {
    if (!growing) return blocks(text);
    reader.current ??= new Blocks();
    return reader.current.grown(text);
  }, [text, growing]);
  const defines = !growing && tokens.some((t) => t.type === "def");
  return (
    <div class="markdown">
      {tokens.map((t, i) => (
        <Block key={i} token={t} open={growing && i === tokens.length - 1} stamp={defines} />
      ))}
    </div>
  );
}

class Block extends Component<{ token: Token; open: boolean; stamp: boolean }, { failed: boolean }> {
  override state = { failed: false };
  static override getDerivedStateFromError() {
    return { failed: true };
  }
  override shouldComponentUpdate(next: { token: Token; open: boolean; stamp: boolean }, state: { failed: boolean }) {
    const { token, open, stamp } = this.props;
    return next.token.raw !== token.raw || next.token.type !== token.type || next.open !== open || next.stamp !== stamp || state.failed !== this.state.failed;
  }
  override render() {
    const { token, open } = this.props;
    return this.state.failed ? <p class="raw">{token.raw}</p> : block(token, open, 0);
  }
}

function block(t: Token, open: boolean, depth: number): VNode | null {
  if (depth > DEEPEST) return <p class="raw">{t.raw}</p>;
  const inside = (tokens: Token[] | undefined) => inline(tokens, depth + 1);
  switch (t.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      return heading(t as Tokens.Heading, depth);
    case "paragraph":
      return <p>{inside(t.tokens)}</p>;
    case "text":
      return <>{t.tokens ? inside(t.tokens) : decode(t.text)}</>;
    case "list":
      return list(t as Tokens.List, depth);
    case "blockquote":
      return <blockquote>{(t.tokens ?? []).map((x) => block(x, false, depth + 1))}</blockquote>;
    case "code":
      return <CodeBlock text={t.text} language={t.lang ?? ""} open={open && !closed(t.raw)} />;
    case "table":
      return table(t as Tokens.Table, depth);
    case "hr":
      return <hr />;
    case "math":
      return <Maths tex={(t as MathToken).text} display />;
    default:
      return <p class="raw">{t.raw.trimEnd()}</p>;
  }
}

/// Has the fence that was opened been closed?
function closed(raw: string): boolean {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1];
  return !fence || new RegExp(`\\n {0,3}${fence}[ \\t]*\\n?$`).test(raw);
}

function heading(t: Tokens.Heading, depth: number) {
  // The page's own headings stand above a model's.
  const Tag = `h${Math.min(6, t.depth + 2)}` as "h3";
  return <Tag class={`h${t.depth}`}>{inline(t.tokens, depth + 1)}</Tag>;
}

function list(t: Tokens.List, depth: number) {
  const items = t.items.map((item) => (
    <li class={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={!!item.checked} disabled aria-label={item.checked ? "done" : "to do"} />}
      {item.tokens.filter((x) => x.type !== "checkbox").map((x) => block(x, false, depth + 1))}
    </li>
  ));
  if (!t.ordered) return <ul>{items}</ul>;
  return <ol start={typeof t.start === "number" && t.start !== 1 ? t.start : undefined}>{items}</ol>;
}

function table(t: Tokens.Table, depth: number) {
  const cell = (Tag: "th" | "td") => (c: Tokens.TableCell) => <Tag style={c.align ? { textAlign: c.align } : undefined}>{inline(c.tokens, depth + 1)}</Tag>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Table">
      <table>
        <thead>
          <tr>{t.header.map(cell("th"))}</tr>
        </thead>
        <tbody>
          {t.rows.map((row) => (
            <tr>{row.map(cell("td"))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: Token[] | undefined, depth: number): ComponentChildren {
  if (depth > DEEPEST) return (tokens ?? []).map((t) => t.raw);
  return (tokens ?? []).map((t) => inlineOne(t, depth));
}

function inlineOne(t: Token, depth: number): ComponentChildren {
  const inside = () => inline(t.type === "image" ? undefined : (t as { tokens?: Token[] }).tokens, depth + 1);
  switch (t.type) {
    case "escape":
      return t.text;
    case "text":
      return (t as Tokens.Text).tokens ? inside() : decode(t.text);
    case "strong":
      return <strong>{inside()}</strong>;
    case "em":
      return <em>{inside()}</em>;
    case "del":
      return <del>{inside()}</del>;
    case "codespan":
      return <code>{t.text}</code>;
    case "br":
      return <br />;
    case "link":
      return link(decode(t.href), inside());
    case "image":
      return link(decode(t.href), <>image: {decode(t.text) || t.href}</>);
    case "math":
      return <Maths tex={(t as MathToken).text} display={(t as MathToken).display} />;
    default:
      return t.raw;
  }
}

function link(href: string, children: ComponentChildren) {
  const safe = safeLink(href);
  if (!safe) return <span class="nolink" title={href}>{children}</span>;
  return (
    <a href={safe} title={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}
