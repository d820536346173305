"""What git may see of this process's environment: whose it is, how it is configured, how it reaches other machines.

Every call of git starts from a clean environment, for hooks set GIT_DIR and a dozen relatives. What a person has
configured for their git is no such thing: without it git would know neither them, nor their key, nor the way out.
"""

import base64
import os
import re
from collections.abc import Mapping

SERVICE = "pushforward"
SERVICE_EMAIL = "pushforward@localhost"
# Who writes what a server writes, so that it needs no configuration.
SERVES = {
    "GIT_AUTHOR_NAME": SERVICE,
    "GIT_AUTHOR_EMAIL": SERVICE_EMAIL,
    "GIT_COMMITTER_NAME": SERVICE,
    "GIT_COMMITTER_EMAIL": SERVICE_EMAIL,
}
# No pager, no prompt. DVC reads SHA-1 objects and refs in files, whatever git would make a new repository of.
PLAIN = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_DEFAULT_HASH": "sha1",
    "GIT_DEFAULT_REF_FORMAT": "files",
    "LC_ALL": "C.UTF-8",  # what git says is read here and there
}
# What a run inside a run must hand on, so that a hook knows it is already inside one.
HANDED_ON = ("PUSHFORWARD_RUN", "PUSHFORWARD_TOKEN")
# Where a person's configuration is, who they are, how keys and passwords are asked for, the way to other machines.
IDENTITY = re.compile(r"GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL)|EMAIL")
PERSONAL = re.compile(
    r"XDG_(CONFIG_HOME|RUNTIME_DIR)|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|GIT_DISCOVERY_ACROSS_FILESYSTEM|"
    r"GIT_SSH(_COMMAND|_VARIANT)?|(GIT|SSH)_ASKPASS(_REQUIRE)?|(WAYLAND_)?DISPLAY|DBUS_SESSION_BUS_ADDRESS|"
    r"GNUPGHOME|GPG_TTY|GIT_SSL_\w+|GIT_HTTP_\w+|GIT_PROXY_\w+|GIT_ALLOW_PROTOCOL|GIT_PROTOCOL_FROM_USER|"
    r"SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|(?i:(HTTPS?|ALL|NO)_PROXY)"
)


def personal() -> dict[str, str]:
    """What is handed on to git of the person at work; of a pusher a hook has taken it away before."""
    return {name: value for name, value in os.environ.items() if PERSONAL.fullmatch(name)}


def identity() -> dict[str, str]:
    """What the environment says of who the person at work is; a hook that our own git has started is told of us."""
    told = {name: value for name, value in os.environ.items() if IDENTITY.fullmatch(name)}
    return {name: value for name, value in told.items() if SERVES.get(name) != value}


def handed_on() -> dict[str, str]:
    """What a run hands on to what it starts."""
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ}


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that have git take `settings` for one command, before its files and what else is set that way."""
    pairs = [*_given(), *settings.items()]
    found = {
        f"GIT_CONFIG_{part}_{at}": text
        for at, pair in enumerate(pairs)
        for part, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    return {"GIT_CONFIG_COUNT": str(len(pairs)), **found}


def _given() -> list[tuple[str, str]]:
    """The settings that the person at work gives git by variables, as a container does that has no file of its own."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    named = [f"GIT_CONFIG_{{}}_{at}" for at in range(min(int(count), 1000) if count.isdigit() else 0)]
    found = [(os.environ.get(one.format("KEY")), os.environ.get(one.format("VALUE"))) for one in named]
    return [(key, value) for key, value in found if key and value is not None]


def credentials() -> dict[str, str]:
    """What git over HTTPS needs on a forge, kept out of the command line and of .git/config.

    The token of the job, or where the forge's own may not do what is needed, one that was given in its place.
    """
    token = os.environ.get("PUSHFORWARD_FORGE_TOKEN") or os.environ.get("GITHUB_TOKEN", "")
    server = os.environ.get("GITHUB_SERVER_URL") or os.environ.get("CI_SERVER_URL", "")
    if not token or not server.startswith("https://"):
        return {}
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {f"http.{server}/.extraHeader": f"Authorization: Basic {basic}"}
