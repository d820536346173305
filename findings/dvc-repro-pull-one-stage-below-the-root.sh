#!/usr/bin/env bash
# DVC 3.67.1, from the root of a repository: `dvc repro --pull -s models/a/dvc.yaml:second` does not bring in what it needs.
#
# A stage in a dvc.yaml below the root has to run, and its dependency, the out of a stage beside it, is in the remote
# alone. `--pull` asks for it by its name in that dvc.yaml (`out.txt`), which is looked for in the current folder:
# "'out.txt' does not exist as an output or a stage name in 'dvc.yaml'". The same stage, asked for from its own folder,
# pulls the file and runs.
# Expected: the dependency is pulled from wherever the command is typed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder DVC_NO_ANALYTICS=1
cd "$folder"
python3 -m venv env
env/bin/python -m pip install -q -q --disable-pip-version-check dvc==3.67.1 pathspec==0.12.1
PATH=$folder/env/bin:$PATH

mkdir -p project/models/a store
cd project
git init -q
dvc init -q
dvc remote add -q -d store ../store
cat >models/a/dvc.yaml <<'YAML'
stages:
  first:
    cmd: echo 1 > out.txt
    outs: [out.txt]
  second:
    cmd: cat out.txt > end.txt
    deps: [out.txt]
    outs: [end.txt]
YAML
dvc repro -q models/a/dvc.yaml
dvc push -q
sed -i 's/cat out.txt >/cat out.txt out.txt >/' models/a/dvc.yaml

ask() { # FOLDER STAGE TEXT: what `dvc repro --pull -s` says there, in a clone that has nothing yet
  local said
  rm -rf .dvc/cache models/a/out.txt models/a/end.txt
  said=$(cd "$1" && dvc repro --pull -s "$2" 2>&1) || true
  echo "in $1, $2: $(grep -m 1 "$3" <<<"$said" || true)"
  grep -q "$3" <<<"$said" || { echo "this has changed: expected '$3'" >&2; exit 1; }
}

ask . models/a/dvc.yaml:second "'out.txt' does not exist as an output or a stage name in 'dvc.yaml'"
ask models/a second "Running stage 'second'"
