# Clones $PUSHFORWARD_REPOSITORY into the workspace and checks out what was asked for.
set -euo pipefail

refuse() {
  echo "::error::checkout: $1"
  exit 2
}

case $ASKED_REPOSITORY in '' | "$GITHUB_REPOSITORY") ;; *) refuse "only $GITHUB_REPOSITORY is here, not $ASKED_REPOSITORY" ;; esac
[ "$ASKED_MORE" = falsefalse ] || refuse 'submodules and lfs are not supported'
case /$ASKED_PATH/ in */../*) refuse "path $ASKED_PATH leaves the workspace" ;; esac
case $ASKED_REF in -*) refuse "ref $ASKED_REF" ;; esac

commit=$GITHUB_SHA
if [ -n "${PUSHFORWARD_CLONE:-}" ]; then # no server runs this: the clone is its own hub
  python=${PUSHFORWARD_ENVIRONMENT:-$PUSHFORWARD_CLONE/.venv}/bin/python
  [ -x "$python" ] || refuse "there is no $python; next: make env, or pushforward act"
  given=$("$python" -Im pushforward.server.clone)
  eval "$given"
  commit=$GIVEN_COMMIT
fi
[ -n "${PUSHFORWARD_REPOSITORY:-}" ] || refuse 'PUSHFORWARD_CLONE is not set; next: cd to the top of the clone, whose .actrc sets it'

folder=$GITHUB_WORKSPACE/${ASKED_PATH:-.}
mkdir -p "$folder"
cd "$folder"
find . -mindepth 1 -delete
git clone -q --shared --no-checkout -c gc.auto=0 -c advice.detachedHead=false "$PUSHFORWARD_REPOSITORY" .

# The objects of every ref are here, also of those that a clone leaves out, such as refs/pull/1/merge.
[ -z "${PUSHFORWARD_CLONE:-}" ] || git fetch -q origin '+refs/pull/*:refs/pull/*'
case $ASKED_REF in
  '') ;;
  refs/heads/*) commit=refs/remotes/origin/${ASKED_REF#refs/heads/} ;;
  refs/tags/*) commit=$ASKED_REF ;;
  refs/*) commit=$(git --git-dir="$PUSHFORWARD_REPOSITORY" rev-parse --verify -q "$ASKED_REF^{commit}") || refuse "there is no $ASKED_REF" ;;
  *)
    commit=$ASKED_REF
    for kind in refs/remotes/origin refs/tags; do
      if git show-ref --verify -q "$kind/$ASKED_REF"; then
        commit=$kind/$ASKED_REF
        break
      fi
    done
    ;;
esac
commit=$(git rev-parse --verify -q "$commit^{commit}") || refuse "there is no ${ASKED_REF:-$commit}"
# two write at once where there is much to write: hundreds of small files wait for one another otherwise
git -c checkout.workers=2 -c checkout.thresholdForParallelism=100 checkout -q --detach "$commit"
echo "commit=$commit" >>"$GITHUB_OUTPUT"

if [ -n "${PUSHFORWARD_DVC_CONFIG:-}" ]; then
  dvc=.dvc
  if [ ! -e .dvc ] && [ ! -L .dvc ]; then # where `dvc init --subdir` has put it
    dvc=$(git ls-files -- ':(glob)**/.dvc/config' | head -n 1)
    dvc=${dvc%/config}
  fi
  if [ -n "$dvc" ] && [ -d "$dvc" ] && [ ! -L "$dvc" ]; then
    rm -f "$dvc/config.local"
    cp "$PUSHFORWARD_DVC_CONFIG" "$dvc/config.local"
  fi
fi
git --no-pager log -1 --format='%h %s'

# A project that carries the tool need not compile the server's copy of it again: Python takes over bytecode whose hash
# of the source is that of the source at hand, and nothing else.
own=$GITHUB_WORKSPACE/${ASKED_PATH:-.}/src/pushforward
[ -f "$own/__init__.py" ] && [ -z "${PUSHFORWARD_CLONE:-}" ] || exit 0
cd -P "$GITHUB_WORKSPACE"
workspace=$PWD
wanted=()
for compiled in "$PUSHFORWARD_LIB"/pushforward/__pycache__ "$PUSHFORWARD_LIB"/pushforward/*/__pycache__; do
  part=${compiled#"$PUSHFORWARD_LIB/pushforward/"}
  folder=$own/${part%__pycache__}
  if [ -f "$folder/__init__.py" ] && [ ! -e "$folder/__pycache__" ] && [ ! -L "$folder/__pycache__" ]; then
    cd -P "$folder" # a link may lead out of what this run may write
    case $PWD in "$workspace"/*) wanted+=("$part") ;; esac
  fi
done
[ ${#wanted[@]} -eq 0 ] || { cd "$PUSHFORWARD_LIB/pushforward" && cp -r --parents "${wanted[@]}" "$own" 2>/dev/null; } || true
