// Markdown into tokens, by marked, with maths:
//
//   $x$  \(x\)        within a line; "$" counts only where no space or digit makes it money
//   $$x$$  \[x\]      displayed
//
// A text that grows is cut into blocks once: all but the last few stand, and only the rest is read again.
import { Lexer, Marked, type Token, type Tokens, type TokenizerExtension } from "marked";

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

const marked = new Marked({ gfm: true, breaks: true });
marked.use({ extensions: [displayed, within] });

const plain = (text: string): Token => ({ type: "plain", raw: text, text }) as Token;

// Small models repeat themselves, and marked's time grows with the square of one paragraph's length and with nesting.
const DEEPEST = 16;
const PIECE = 2000;

class BoundedLexer extends Lexer {
  private depth = 0;

  override blockTokens(src: string, tokens: Token[] = [], clipped?: boolean): any {
    if (this.depth > DEEPEST) return tokens.push(plain(src)), tokens;
    ++this.depth;
    try {
      return super.blockTokens(src, tokens, clipped);
    } finally {
      --this.depth;
    }
  }

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    for (let at = 0; at < src.length; ) {
      let end = src.length;
      if (end - at > PIECE) {
        const space = src.lastIndexOf(" ", at + PIECE);
        end = space > at ? space : at + PIECE;
      }
      super.inlineTokens(src.slice(at, end), tokens);
      at = end;
    }
    return tokens;
  }
}

function lex(text: string): Token[] {
  try {
    return new BoundedLexer(marked.defaults).lex(text);
  } catch {
    return text ? [plain(text)] : [];
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
