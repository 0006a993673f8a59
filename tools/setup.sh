#!/usr/bin/env bash
# Readies a Debian 12 machine to build jet: the packages below, and .venv with the PyTorch that jet-train links.
# Does only what is still undone, so it costs nothing to run before every build.
#   tools/setup.sh            what building and testing takes
#   tools/setup.sh clients    a browser and the clients of other projects too, for the tests that want them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=(torch==2.13.0 numpy==2.4.6 nanobind==3.1.0)
clients=(openai==3.57.0 anthropic==2.14.0 playwright==1.65.2 transformers==5.23.0 lm_eval==0.4.13 accelerate==1.15.0
         schemathesis==4.32.5)
xgrammar='xgrammar==0.2.8 --hash=sha256:8305646fd2b319d6c3003f51a1665e54cbbe9cba1fb636bc41d0b46434ccbb80'
read -r -d '' packages <<'END' || true
g++                   C++20 compiler
cmake                 build description
ninja-build           build runner
ccache                second builds in seconds
pkg-config            finds libraries that have no CMake file
python3-venv          home for PyTorch
python3-dev           headers of the Python package's extension
clang-format          source format
git                   list of sources to check
libgtest-dev          tests
nlohmann-json3-dev    JSON
libtomlplusplus-dev   recipes (TOML)
libcli11-dev          command line
libfmt-dev            messages
libpcre2-dev          regular expressions of recipes
libonig-dev           regular expressions of tokenizers
libutf8proc-dev       Unicode of tokenizers
libxxhash-dev         hashes of contents
libzstd-dev           compressed training text (.zst)
zlib1g-dev            compressed training text (.gz)
libcpp-httplib-dev    HTTP of the server
libssl-dev            which its header wants
libbrotli-dev         which its header wants
libopenmpi-dev        training in many processes
openmpi-bin           mpirun, which starts them
END
client_packages='chromium              the browser that the page is tested in'
log=build/setup.log
stamp=.venv/.jet-ready

die() {
  echo "setup: $*" >&2
  exit 1
}

begin() {
  echo "setup: $*"
  mkdir -p build
  echo "$*" >"$log"
}

# The log's own last complaint, in brackets, and where to read the rest.
reason() {
  local complaint
  complaint=$(grep -iE '^(E:|sudo:|[a-z.]*error)' "$log" || cat "$log")
  echo "($(tail -n 1 <<<"$complaint" | cut -c -200)); see $log"
}

# The Debian packages of a list of names and reasons.
install_packages() {
  local names installed name why missing=() root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "setup: no Debian packages here; what CMake does not find, install in this system's own way" >&2
    return
  fi
  names=$(awk 'NF { print $1 }' <<<"$1")
  # shellcheck disable=SC2086  # one word a package
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $names 2>/dev/null | awk '$2 == "installed" { print $1 }' || true)
  while read -r name why; do
    if [[ -z $name ]] || grep -qxF -e "$name" <<<"$installed"; then continue; fi
    missing+=("$name")
  done <<<"$1"
  if ((${#missing[@]} == 0)); then return; fi

  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "Debian packages are missing and neither root nor sudo is at hand; as root run: apt-get install -y ${missing[*]}"
    root=(sudo)
  fi
  begin "installing Debian packages:"
  while read -r name why; do
    if [[ " ${missing[*]} " == *" $name "* ]]; then printf '  %-20s %s\n' "$name" "$why"; fi
  done <<<"$1"
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update >>"$log" 2>&1 || die "apt-get update failed $(reason)"
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 || die "apt-get install failed $(reason)"
}

fresh_venv() { python3 -m venv --clear .venv >>"$log" 2>&1; }

fill_venv() {
  {
    .venv/bin/python -m pip install "${requirements[@]}" &&
      .venv/bin/python -W ignore -c 'import os, torch; os.stat(torch.utils.cmake_prefix_path)'
  } >>"$log" 2>&1
}

# The stamp holds the requirements it was made for, so that a changed list, or a stop half way, is done again.
make_venv() {
  if [[ -x .venv/bin/python && -f $stamp && $(<"$stamp") == "${requirements[*]}" ]]; then return; fi
  begin "making .venv with ${requirements[*]} (some minutes the first time)"
  rm -f "$stamp"
  if [[ ! -e .venv/bin/python ]] || ! fill_venv; then
    fresh_venv || die "python3 -m venv failed $(reason)"
    fill_venv || die "could not install ${requirements[*]} $(reason)"
  fi
  echo "${requirements[*]}" >"$stamp"
}

# The C++ sources of xgrammar, which keeps replies to schemas; without them jet is built without that.
fetch_xgrammar() {
  local name=${xgrammar%% *} folder
  folder=.venv/src/${name/==/-}
  if [[ -d $folder ]]; then return; fi
  begin "fetching the sources of $name into $folder"
  rm -rf .venv/src
  mkdir -p .venv/src/part
  echo "$xgrammar" >.venv/src/requirements.txt
  if .venv/bin/python -m pip download --no-deps --no-binary xgrammar -r .venv/src/requirements.txt -d .venv/src >>"$log" 2>&1 &&
    tar -xzf "$folder.tar.gz" -C .venv/src/part --strip-components=1 \
      "${name/==/-}"/{cpp,include,LICENSE,NOTICE,3rdparty/picojson,3rdparty/dlpack} >>"$log" 2>&1; then
    mv .venv/src/part "$folder"
  else
    echo "setup: could not fetch $name $(reason); jet is built without grammars" >&2
  fi
  rm -rf .venv/src/part "$folder.tar.gz"
}

install_clients() {
  install_packages "$client_packages"
  if [[ -f .venv/.jet-clients && $(<.venv/.jet-clients) == "${clients[*]}" ]]; then return; fi
  begin "installing ${clients[*]} into .venv"
  .venv/bin/python -m pip install "${clients[@]}" >>"$log" 2>&1 || die "could not install them $(reason)"
  echo "${clients[*]}" >.venv/.jet-clients
}

# Two at a time would each clear the other's .venv.
if command -v flock >/dev/null; then
  mkdir -p build
  exec 9>build/.setup-lock
  flock --nonblock 9 || { echo "setup: waiting for another one that runs here" >&2 && flock 9; }
fi
install_packages "$packages"
make_venv
fetch_xgrammar
if [[ ${1-} == clients ]]; then install_clients; fi
