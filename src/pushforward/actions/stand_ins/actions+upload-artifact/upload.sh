# By the variables of a server's run; in a clone by those that the checkout has found, else by the clone's own places.
set -euo pipefail
python=${PUSHFORWARD_PYTHON:-${PUSHFORWARD_ENVIRONMENT:-${PUSHFORWARD_CLONE:-.}/.venv}/bin/python}
export PUSHFORWARD_ARTIFACTS=${PUSHFORWARD_ARTIFACTS:-${PUSHFORWARD_CLONE:-.}/.act/artifacts}
[ -z "${PUSHFORWARD_CLONE:-}" ] || export INPUT_OVERWRITE=true # what the run before has left is there
if [ -z "${PUSHFORWARD_LIB:-}" ]; then
  exec "$python" -Im pushforward.actions.artifacts upload
fi
PYTHONPATH=$PUSHFORWARD_LIB exec "$python" -sPS -m pushforward.actions.artifacts upload
