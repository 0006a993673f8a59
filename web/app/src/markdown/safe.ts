// The only place where text becomes HTML. What comes here is made by KaTeX and highlight.js, which escape what they are
// given; DOMPurify stands behind them, and the page's policy lets no HTML be set that has not gone through it.
import DOMPurify from "dompurify";

const clean = (html: string, allow: { tags?: string[]; attributes?: string[] }) =>
  DOMPurify.sanitize(html, {
    RETURN_TRUSTED_TYPE: true,
    ...(allow.tags ? { ALLOWED_TAGS: allow.tags, ALLOWED_ATTR: allow.attributes ?? [] } : { USE_PROFILES: { html: true, mathMl: true, svg: true } }),
  }) as unknown as string;

export const cleanCode = (html: string) => clean(html, { tags: ["span"], attributes: ["class"] });
export const cleanMath = (html: string) => clean(html, {});

/// The address, if a link may lead there.
export function safeLink(href: string): string | null {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", mdash: "—", ndash: "–", hellip: "…", times: "×" };

/// Markdown's text may hold entities; what they stand for is text again.
export const decode = (text: string) =>
  text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));/g, (all, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? all;
    const point = decimal ? Number(decimal) : parseInt(hex, 16);
    return point > 0 && point <= 0x10ffff && !(point >= 0xd800 && point < 0xe000) ? String.fromCodePoint(point) : "\ufffd";
  });
