#!/usr/bin/env bash
# Puts CML, at the commit that the report action pins, into .tools/cml, for tests of the action against the real one.
# Prints its command. From $CML_SOURCE, a clone, or from GitHub; its packages by the integrity hashes of its own lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(sed -nE 's/^ +ref: ([0-9a-f]{40}) # v0\.20\..*/\1/p' .github/actions/report/action.yml)
place=.tools/cml-${commit:?the report action pins no CML}
command="node $PWD/$place/bin/cml.js"
if [ ! -e "$place/.whole" ]; then
  for tool in node npm git timeout; do command -v $tool >/dev/null || { echo "no $tool" >&2; exit 1; }; done
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  git init -q "$scratch/cml"
  GIT_TERMINAL_PROMPT=0 timeout 30 git -C "$scratch/cml" fetch -q --depth 1 "${CML_SOURCE:-https://github.com/iterative/cml}" "$commit"
  git -C "$scratch/cml" checkout -q --detach FETCH_HEAD
  [ "$(git -C "$scratch/cml" rev-parse HEAD)" = "$commit" ]
  timeout 60 npm ci --omit=dev --ignore-scripts --no-audit --no-fund --silent --prefix "$scratch/cml" >&2
  node "$scratch/cml/bin/cml.js" --version >/dev/null
  touch "$scratch/cml/.whole"
  mkdir -p .tools
  rm -rf "$place"
  mv "$scratch/cml" "$place"
fi
echo "$command"
