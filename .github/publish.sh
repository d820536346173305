#!/usr/bin/env bash
# publish.sh BUNDLE: a GitHub release of the version in the folder BUNDLE, marked as the latest one. Runs `gh`, which
# reads GH_TOKEN and GH_REPO. A version that comes back to production keeps the release that it has.
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
gh release edit "$version" --latest
