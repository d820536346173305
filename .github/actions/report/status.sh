#!/usr/bin/env bash
# Set the commit status `pushforward` of $HEAD from a verdict. usage: status.sh VERDICT.json
set -uo pipefail
verdict=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"])' "$1") || exit 0
# 140 characters are all that a status takes
said=$(python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); print((v["verdict"] + ": " + v["reason"])[:140])' "$1") || exit 0
case $verdict in
  promote | identical) state=success ;;
  invalid) state=error ;;
  *) state=failure ;;
esac
gh api --method POST "repos/$GITHUB_REPOSITORY/statuses/$HEAD" --silent \
  -f state="$state" -f context=pushforward -f description="$said" \
  || echo "::warning::the commit status could not be set"
exit 0
