#!/usr/bin/env bash
# The look of the sources: clang-format's layout, no tabs or trailing blanks, a header opens by saying what it is for,
# no line over 120 columns (clang-format leaves comments as they are drawn), no file over 500 lines. With --fix,
# clang-format rewrites the files instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

max_lines=500
command -v clang-format >/dev/null || { echo "format: clang-format is missing; tools/setup.sh installs it" >&2; exit 1; }

# Tracked and new files; where git cannot answer (a source archive), all files.
mapfile -t files < <(
  { git ls-files --cached --others --exclude-standard -- jet python tests 2>/dev/null || find jet python tests -type f 2>/dev/null; } |
    grep -E '\.(h|cc|cu|cuh)$' | sort -u | while read -r file; do [[ ! -f $file ]] || echo "$file"; done
)
if ((${#files[@]} == 0)); then echo "format: no sources under jet/" >&2; exit 1; fi
if [[ ${1-} == --fix ]]; then exec clang-format -i "${files[@]}"; fi

faults=$(
  clang-format --dry-run -Werror "${files[@]}" 2>&1 |
    sed -nE 's/^([^ :]+:[0-9]+):[0-9]+: error: .*-Wclang-format-violations.*/\1: not as clang-format has it; run: make format/p
             /^[Ee]rror|^Invalid/p' | uniq || true
  awk -v max="$max_lines" '
    FNR == 1 && FILENAME ~ /\.(h|cuh)$/ && !/^\/\// { print FILENAME ":1: open the header with a // comment: what it is for" }
    /\t/ { print FILENAME ":" FNR ": tab" }
    /[ \r]$/ { print FILENAME ":" FNR ": trailing blank" }
    length($0) > 120 { print FILENAME ":" FNR ": over 120 columns" }
    FNR == max + 1 { print FILENAME ": over " max " lines; split it" }
  ' "${files[@]}"
)
if [[ -n $faults ]]; then
  echo "$faults" >&2
  exit 1
fi
echo "format: ${#files[@]} files are as they should be"
