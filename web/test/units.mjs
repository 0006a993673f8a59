// Tests of the page's parts that need no browser: node --test web/test/units.mjs, after npm ci in web/app.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const app = join(dirname(fileURLToPath(import.meta.url)), "../app");
if (!existsSync(join(app, "node_modules/esbuild"))) {
  console.log("skipped: web/app/node_modules is missing, run npm ci in web/app");
  process.exit(0);
}
const { default: esbuild } = await import(pathToFileURL(join(app, "node_modules/esbuild/lib/main.js")).href);

async function load(path) {
  const built = await esbuild.build({ entryPoints: [join(app, "src", path)], bundle: true, write: false, format: "esm", absWorkingDir: app });
  return import("data:text/javascript;base64," + Buffer.from(built.outputFiles[0].text).toString("base64"));
}

const { Blocks, blocks } = await load("markdown/lex.ts");
const shape = (tokens) => tokens.map((t) => [t.type, t.raw]);

const TEXT = `# Title

A paragraph with **bold**, \`code\` and $x^2$; prices of $5 and $7.
Second line

- one
- two

  inside two
- three

1. a
2. b

> quoted

\`\`\`python
print("a")

print("b")
\`\`\`

$$
a = b
$$

| a | b |
|---|---|
| 1 | 2 |

Under
===

<div>html</div>

\\[ c \\]

The end.
`;

test("a text read as it grows gives the blocks of the whole text, however it is cut", () => {
  for (const step of [1, 3, 7, 50]) {
    const reader = new Blocks();
    for (let n = step; n < TEXT.length + step; n += step) reader.grown(TEXT.slice(0, n));
    assert.deepEqual(shape(reader.grown(TEXT)), shape(blocks(TEXT)), `cut every ${step}`);
  }
});

test("a long text is not read from its beginning for every token", () => {
  const text = TEXT.repeat(60);
  const reader = new Blocks();
  let unread = 0;
  for (let n = 0; n < text.length; n += 40) {
    reader.grown(text.slice(0, n));
    unread = Math.max(unread, n - reader.read);
  }
  assert.ok(unread < 500, `${unread} characters are read again`);
});

test("another text begins anew", () => {
  const reader = new Blocks();
  reader.grown(TEXT);
  assert.deepEqual(shape(reader.grown("short")), shape(blocks("short")));
});

test("windows line ends and deep nesting are read", () => {
  const reader = new Blocks();
  assert.equal(reader.grown("a\r\n\r\nb\r\n\r\nc\r\n\r\nd\r\n\r\ne\r\n\r\nf").filter((t) => t.type === "paragraph").length, 6);
  assert.ok(blocks("> ".repeat(20000) + "x").length > 0);
});

const kinds = (text) => blocks(text)[0].tokens.map((t) => t.type + (t.type === "math" ? ":" + t.text : ""));

test("dollars are maths only where they can be", () => {
  assert.deepEqual(kinds("$x$"), ["math:x"]);
  assert.deepEqual(kinds("from $5 to $7"), ["text"]);
  assert.deepEqual(kinds("a $ b $ c"), ["text"]);
  assert.deepEqual(kinds("so \\(a_b\\) and $c_d$"), ["text", "math:a_b", "text", "math:c_d"]);
  assert.deepEqual(kinds("`$x$`"), ["codespan"]);
  assert.equal(blocks("$$\na\n$$")[0].display, true);
  assert.equal(blocks("\\[\na\n\\]")[0].text, "a");
});

const { decode, safeLink } = await load("markdown/safe.ts").catch(() => ({}));

test("links lead to http, https and mail only", { skip: !safeLink }, () => {
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:x", " javascript:x", "java\tscript:x", "data:text/html,x", "vbscript:x", "file:///etc", "blob:x", "//evil", "/v1", "x"]) {
    assert.equal(safeLink(bad), null, bad);
  }
  assert.equal(safeLink("https://a.org/b?c=d"), "https://a.org/b?c=d");
  assert.equal(safeLink("mailto:a@b.org"), "mailto:a@b.org");
});

test("entities are text", { skip: !decode }, () => {
  assert.equal(decode("a &lt;b&gt; &amp;amp; &#65;&#x42; &nope; &#0; &#xd800;"), "a <b> &amp; AB &nope; \ufffd \ufffd");
});

const tree = await load("store/tree.ts");
const message = (id, parent, created, role = "user") => ({ id, parent, created, role });
const MESSAGES = new Map([message("a", null, 1), message("b", "a", 2, "assistant"), message("c", "a", 3, "assistant"), message("d", "c", 4), message("e", null, 5)].map((m) => [m.id, m]));

test("a tree has lines, siblings and leaves", () => {
  assert.deepEqual(tree.line(MESSAGES, "d").map((m) => m.id), ["a", "c", "d"]);
  assert.deepEqual(tree.siblings(MESSAGES, MESSAGES.get("c")).map((m) => m.id), ["b", "c"]);
  assert.equal(tree.newestLeaf(MESSAGES, MESSAGES.get("a")), "d");
  assert.equal(tree.anyLeaf(MESSAGES), "e");
  assert.deepEqual(tree.line(new Map([["a", message("a", "a", 1)]]), "a").map((m) => m.id), ["a"], "a ring in an imported file ends");
});

const sse = await load("chat/sse.ts");

test("events come whole, however bytes are cut", async () => {
  const text = 'data: {"a": "ä€😀"}\r\n\r\n: comment\n\ndata: one\ndata: two\n\nevent: x\ndata:[DONE]\n\ndata: last';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 1000]) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
    const body = new ReadableStream({ pull: (c) => (parts.length ? c.enqueue(parts.shift()) : c.close()) });
    const got = [];
    for await (const e of sse.events(new Response(body))) got.push(e);
    assert.deepEqual(got, ['{"a": "ä€😀"}', "one\ntwo", "[DONE]", "last"]);
  }
});
