// Markdown into tokens, by marked, with maths:
//
//   $x$  \(x\)        within a line; "$" counts only where no space or digit makes it money
//   $$x$$  \[x\]      displayed
//
// A text that grows is cut into blocks once: all but the last few stand, and only the rest is read again.
import { Marked, type Token, type Tokens, type TokenizerExtension } from "marked";

export interface MathToken extends Tokens.Generic {
  type: "math";
  text: string;
  display: boolean;
}

const math = (raw: string, text: string, display: boolean): MathToken => ({ type: "math", raw, text: text.trim(), display });

const displayed: TokenizerExtension = {
  name: "math",
  level: "block",
  start: (src) => src.match(/(^|\n) {0,3}(\$\$|\\\[)/)?.index,
  tokenizer(src) {
    const m = /^ {0,3}(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n+|$)/.exec(src);
    return m ? math(m[0], (m[1] ?? m[2])!, true) : undefined;
  },
};

const within: TokenizerExtension = {
  name: "math",
  level: "inline",
  start: (src) => src.match(/\$|\\\(|\\\[/)?.index,
  tokenizer(src) {
    const m = /^(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])/.exec(src);
    if (m) return math(m[0], (m[1] ?? m[2])!, true);
    const n = /^(?:\$(?![\s$])((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)|\\\(([\s\S]+?)\\\))/.exec(src);
    return n ? math(n[0], (n[1] ?? n[2])!, false) : undefined;
  },
};

const marked = new Marked({ gfm: true, breaks: true, extensions: undefined });
marked.use({ extensions: [displayed, within] });

const plain = (text: string): Token[] => (text ? [{ type: "plain", raw: text, text } as Token] : []);

function lex(text: string): Token[] {
  try {
    return marked.lexer(text);
  } catch {
    return plain(text); // nested deeper than the stack
  }
}

/// Blocks that may still change when more text comes.
const OPEN = 4;

export class Blocks {
  private stand: Token[] = [];
  private read = 0;
  private length = 0;

  /// The blocks of `text`, which is what was given before and more.
  grown(text: string): Token[] {
    text = unify(text);
    if (text.length < this.length) this.stand = [], (this.read = 0);
    this.length = text.length;
    const rest = lex(text.slice(this.read));
    const done = rest.slice(0, Math.max(0, rest.length - OPEN));
    const raw = done.map((t) => t.raw).join("");
    if (done.length && text.startsWith(raw, this.read)) {
      this.stand = [...this.stand, ...done];
      this.read += raw.length;
      return [...this.stand, ...rest.slice(done.length)];
    }
    return [...this.stand, ...rest];
  }
}

/// The blocks of a text that is complete.
export const blocks = (text: string): Token[] => lex(unify(text));

const unify = (text: string) => text.replace(/\r\n?/g, "\n");
