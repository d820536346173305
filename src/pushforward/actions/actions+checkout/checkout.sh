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

folder=$GITHUB_WORKSPACE/${ASKED_PATH:-.}
mkdir -p "$folder"
cd "$folder"
find . -mindepth 1 -delete
git -c advice.detachedHead=false clone -q --shared --no-checkout --no-tags "$PUSHFORWARD_REPOSITORY" .
git config gc.auto 0
git config advice.detachedHead false
git fetch -q --no-write-fetch-head origin 'refs/tags/*:refs/tags/*'

# The objects of every ref are here, also of those that a clone leaves out, such as refs/pull/1/merge.
case $ASKED_REF in
  '') commit=$GITHUB_SHA ;;
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
commit=$(git rev-parse --verify -q "$commit^{commit}") || refuse "there is no ${ASKED_REF:-$GITHUB_SHA}"
git checkout -q --detach "$commit"
echo "commit=$commit" >>"$GITHUB_OUTPUT"

if [ -n "${PUSHFORWARD_DVC_CONFIG:-}" ] && [ -d .dvc ] && [ ! -L .dvc ]; then
  rm -f .dvc/config.local
  cp "$PUSHFORWARD_DVC_CONFIG" .dvc/config.local
fi
git log -1 --format='%h %s' | cat
