#!/usr/bin/env bash
# The committed page is what its sources build, and its parts do what they should where no browser is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web/app"
skip() {
  echo "skipped: $1"
  exit 0
}
command -v npm >/dev/null || skip "npm is not installed"
npm ci --no-audit --no-fund >/dev/null 2>&1 || skip "npm cannot fetch the page's libraries"
npm run check
node --test ../test/units.mjs
