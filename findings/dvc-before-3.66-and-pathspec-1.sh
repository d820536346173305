#!/usr/bin/env bash
# DVC 3.65.0 says that any pathspec from 0.10.3 on will do, and does not start with pathspec 1.1.1.
#
# `pip install dvc==3.65.0` on a fresh machine takes the newest pathspec. `dvc init` ends with an ImportError, and so does
# every command in a project that is there: `_DIR_MARK` has left pathspec.patterns.gitwildmatch. With pathspec 0.12.1 the
# same DVC works; DVC 3.66.0 asks for a pathspec below 1.
# Expected: a range that holds, or a message that names the two packages.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder DVC_NO_ANALYTICS=1
cd "$folder"

answer() { # DVC PATHSPEC: what `dvc status` says in an empty project
  python3 -m venv env
  env/bin/python -m pip install -q -q --disable-pip-version-check "dvc==$1" "pathspec==$2"
  rm -rf project && mkdir project
  git -C project init -q
  (cd project && ../env/bin/dvc init && ../env/bin/dvc status) 2>&1 || true
}

expect() { # DVC PATHSPEC TEXT
  local said
  said=$(answer "$1" "$2")
  echo "dvc $1 with pathspec $2: $(grep -m 1 "$3" <<<"$said" || true | cut -c1-90)"
  grep -q "$3" <<<"$said" || { echo "this has changed: expected '$3'" >&2; exit 1; }
}

expect 3.65.0 1.1.1 "cannot import name '_DIR_MARK'"
expect 3.65.0 0.12.1 "There are no data or pipelines tracked in this project yet"
