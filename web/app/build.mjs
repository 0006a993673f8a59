// Builds the page: everything in one file, dist/index.html.
//
//   node build.mjs            write it
//   node build.mjs --check    fail unless the file that is there has the same bytes
//
// The page's policy names script and style by their hashes: nothing else runs, whatever a model writes. Fonts of KaTeX
// are inlined as woff2; its other formats are for browsers that are gone.
import { createHash } from "node:crypto";
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "dist/index.html");

const woff2Only = {
  name: "woff2-only",
  setup(build) {
    build.onLoad({ filter: /katex(\.min)?\.css$/ }, async ({ path }) => {
      const css = await readFile(path, "utf8");
      return { loader: "css", contents: css.replace(/,\s*url\([^)]*\.(woff|ttf)\)\s*format\([^)]*\)/g, "") };
    });
  },
};

async function bundle(entry) {
  const result = await esbuild.build({
    entryPoints: [join(here, entry)],
    absWorkingDir: here,
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    define: { "process.env.NODE_ENV": '"production"' },
    loader: { ".woff2": "dataurl" },
    plugins: [woff2Only],
  });
  return result.outputFiles[0].text.trim();
}

const hash = (text) => `'sha256-${createHash("sha256").update(text, "utf8").digest("base64")}'`;

// Maths sets its sizes in style attributes, hence style-src-attr; they can load nothing.
const policy = (script, style) =>
  [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src-elem ${hash(style)}`,
    "style-src-attr 'unsafe-inline'",
    "img-src data:",
    "font-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify",
  ].join("; ");

// Inside HTML these would end a script or hide its end. They stand in strings and regular expressions, where \x3c is "<".
const embedded = (script) => script.replace(/<(?=!--|\/?script)/gi, "\\x3c");

async function page() {
  const [template, script, style] = await Promise.all([
    readFile(join(here, "src/index.html"), "utf8"),
    bundle("src/main.tsx").then(embedded),
    bundle("src/style/index.css"),
  ]);
  return template
    .replace("{{POLICY}}", () => policy(script, style))
    .replace("{{STYLE}}", () => style)
    .replace("{{SCRIPT}}", () => script);
}

const html = await page();
if (process.argv.includes("--check")) {
  const there = await readFile(out, "utf8").catch(() => "");
  if (there !== html) {
    console.error("dist/index.html is not what the sources build: run `npm ci && npm run build` and commit it");
    process.exit(1);
  }
  console.log(`dist/index.html is the build's, ${html.length} characters`);
} else {
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, html);
  console.log(`dist/index.html: ${(Buffer.byteLength(html) / 1e3).toFixed(0)} kB`);
}
