#!/usr/bin/env bash
# publish.sh BUNDLE: a GitHub release of the version in the folder BUNDLE, marked as the latest one unless another has
# been put to use since $TAG. Runs `gh`, which reads GH_TOKEN and GH_REPO. A version that comes back to production keeps
# the release that it has.
set -euo pipefail

cd "$1"
sha256sum --check --quiet --strict SHA256SUMS
version=$(sed -n -e '/^$/q' -e 's/^tag //p' tag.txt)

if ! gh release view "$version" --json tagName >/dev/null 2>&1; then
  # the same bytes for the same bundle
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w -c . | gzip -9n >../bundle.tar.gz
  gh release create "$version" --verify-tag --title "$version" --notes-file model-card.md \
    ../bundle.tar.gz SHA256SUMS model-card.md provenance.json provenance.json.sig tag.txt
fi
# reviewers may have let this wait until a later tag, a rollback say, was published
place=${TAG%"${TAG##*#}"}
used=$(gh api --paginate "repos/{owner}/{repo}/git/matching-refs/tags/${place//\#/%23}" --jq '.[].ref' |
  sed 's/.*#//' | sort -n | tail -1)
if [ "$used" = "${TAG##*#}" ]; then
  gh release edit "$version" --latest
else
  echo "$TAG is not the newest any more: $version is not marked as the latest release"
fi
