#!/usr/bin/env bash
# Build an environment from lock files, or find that it already is what they say.
# usage: requirements/install.sh FOLDER LOCK...
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1; shift
wanted=$(cat "$@" | sha256sum | cut -d' ' -f1)
if [ -n "${PUSHFORWARD_ENVIRONMENT:-}" ]; then
  # In a run of a local server: its environment, which a run never changes.
  found=$(cat "$PUSHFORWARD_ENVIRONMENT/.locked" 2>/dev/null || true)
  if [ "$found" != "$wanted" ]; then
    echo "this commit locks another environment ($*) than the server has; on the server: make env && .venv/bin/pushforward init" >&2
    exit 6
  fi
  ln -sfn "$PUSHFORWARD_ENVIRONMENT" "$folder"
  exit 0
fi
# A stage says `python`, which is whatever PATH has: `dvc` of this environment puts its own there, activated or not.
own_dvc() {
  local bin; bin=$(printf '%q' "$(cd "$folder/bin" && pwd)")
  printf '#!/bin/sh\n# by requirements/install.sh\nPATH=%s:"$PATH" exec %s/python -P -m dvc "$@"\n' "$bin" "$bin" > "$folder/bin/dvc.new"
  chmod 755 "$folder/bin/dvc.new"
  mv "$folder/bin/dvc.new" "$folder/bin/dvc"
}
[ "$(cat "$folder/.locked" 2>/dev/null || true)" = "$wanted" ] && grep -qs "pushforward.__main__ " "$folder/bin/pushforward" && {
  grep -qs "by requirements/install.sh" "$folder/bin/dvc" || own_dvc
  exit 0
}
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "pushforward needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Try: make PYTHON=python3.12" >&2
  exit 6
}
uv=$(command -v uv || echo "$PWD/.tools/bin/uv")
if [ ! -x "$uv" ]; then
  echo "· installing uv into .tools"
  "$python" -m venv .tools || {
    echo "python3 cannot make environments here. Install its venv module (Debian: apt install python3-venv)" >&2
    exit 6
  }
  .tools/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.txt
fi
echo "· building $folder from $*"
"$uv" venv -q --clear --no-project --python "$("$python" -c 'import sys; print(sys.executable)')" "$folder"
# Bytecode is the largest lever on start-up (`dvc repro` takes four times as long without), and a run cannot write any:
# the environment is read-only in its jail.
install() { VIRTUAL_ENV="$PWD/$folder" "$uv" pip install -q --no-deps --compile-bytecode --build-constraints requirements/build.txt "$@"; }
install --require-hashes "${@/#/--requirements=}"
install -e .
own_dvc
echo "$wanted" > "$folder/.locked"
