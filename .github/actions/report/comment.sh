#!/usr/bin/env bash
# Create or update the one comment of pushforward on the pull request of $HEAD. usage: comment.sh REPORT.md
# A post counts only with status 0 and an address on standard output: a cut-off answer also exits with 0.
set -uo pipefail
export ITERATIVE_DO_NOT_TRACK=1 GIT_CONFIG_GLOBAL="$RUNNER_TEMP/gitconfig-cml"
touch "$GIT_CONFIG_GLOBAL"
# The number comes from the forge, never from the artifact.
number=$(gh api "repos/$GITHUB_REPOSITORY/commits/$HEAD/pulls" \
  --jq 'map(select(.state == "open" and .head.sha == env.HEAD))[0].number // empty')
# where the API fails, gh prints its error there
[[ $number =~ ^[0-9]+$ ]] || { echo "::warning::no open pull request has the head $HEAD"; exit 0; }
errors="$RUNNER_TEMP/cml-errors.log"
for pause in 5 20 0; do
  url=$(timeout 150 $CML comment update --no-publish --target="pr/$number" --watermark-title=pushforward \
    --repo="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$1" 2>"$errors") && [ -n "$url" ] && { echo "$url"; exit 0; }
  grep -qE 'Bad credentials|not accessible|too long' "$errors" && break
  sleep "$pause"
done
echo "::warning::the report could not be posted: $(grep -oE '"message":"[^"]{0,200}' "$errors" | head -n 1 | cut -c12-)"
exit 0
