#!/usr/bin/env bash
# Runs every fuzz target of tests/fuzz under clang's libFuzzer for FUZZ_SECONDS (default 120) and keeps the inputs that
# reach new code in its corpus. An input that breaks a reader stays in build-fuzz/ and ends the run.
#   FUZZ_SECONDS=600 tools/fuzz.sh              all targets
#   tools/fuzz.sh tokenizer                     one of them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${FUZZ_SECONDS:-120}
log=build-fuzz/setup.log
mkdir -p build-fuzz
program='extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
if ! clang++ -x c++ -fsanitize=fuzzer,address,undefined - -o build-fuzz/probe <<<"$program" 2>"$log"; then
  echo "fuzz: clang++ with libFuzzer is missing (Debian 12: apt-get install clang libclang-rt-14-dev); see $log" >&2
  exit 1
fi

[[ -f build-fuzz/build.ninja ]] || cmake --preset fuzz
cmake --build --preset fuzz -j "${JOBS:-1}"

if (($# > 0)); then targets=("$@"); else mapfile -t targets < <(ls tests/fuzz/corpus); fi
for what in "${targets[@]}"; do
  corpus=tests/fuzz/corpus/$what
  found=build-fuzz/found/$what
  mkdir -p "$found"
  limits=(-max_len=4096 -timeout=30 -rss_limit_mb=2048 -artifact_prefix="build-fuzz/$what-")
  echo "fuzz: $what for $seconds s"
  "build-fuzz/fuzz_$what" "${limits[@]}" -dict="tests/fuzz/$what.dict" -max_total_time="$seconds" \
    -print_final_stats=1 "$found" "$corpus" 2>"build-fuzz/$what.log" ||
    { tail -n 40 "build-fuzz/$what.log" >&2; echo "fuzz: $what is broken; see build-fuzz/$what.log" >&2; exit 1; }
  # Coverage alone, without how often code ran: a corpus that stays small.
  "build-fuzz/fuzz_$what" "${limits[@]}" -use_counters=0 -set_cover_merge=1 "$corpus" "$found" 2>>"build-fuzz/$what.log"
  grep -E 'stat::number_of_executed_units|MERGE-OUTER: .* new files' "build-fuzz/$what.log" | tail -n 2
done
