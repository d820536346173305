"""Override: a person's signed word that lets into a protected branch what has not passed. `branches` asks for it."""

from pushforward.policy import signature
from pushforward.policy.push import Push
from pushforward.policy.refusal import PolicyError, shown
from pushforward.registry import ssh
from pushforward.registry.grammar import MAY_MAIN

# What a person types on top of what is to be let in, whom the owner has given `main`.
SIGN_IN = f"git commit -S --allow-empty -m '{ssh.OVERRIDE}WHY'"


def check(push: Push, commit: str, changed: list[str], kept_out: str = "") -> None:
    """Refuse a commit that changes these paths, unless somebody who may has let it in.

    `kept_out` says who has rejected what it holds, if somebody has.
    """
    if _holds(push, commit):
        return
    if kept_out:
        raise PolicyError(
            f"it was {kept_out}", "change it and push it again; or, who may: pushforward accept COMMIT -m WHY"
        )
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    raise PolicyError(
        f"no pull request has passed with this content; {shown(changed[0])}{more} decides about the model",
        "git push local HEAD:refs/heads/<name>, and merge that when it has passed (promote, or identical); else "
        f"with a key for it (pushforward trust KEY.pub --for {MAY_MAIN}): {SIGN_IN}, and push again",
    )


def _holds(push: Push, commit: str) -> bool:
    """Whether its own message lets it in, signed by a key that may; refused where it says so and does not hold.

    The signature is over the commit, and so over its tree and all of its history: it lets in nothing else, and makes
    no version.
    """
    raw = push.objects.read(commit, "commit") or b""
    if not ssh.word_in(raw):
        return False
    signed = ssh.commit(raw)
    if signed is None:
        raise PolicyError(f"{commit[:9]} says {ssh.OVERRIDE.strip(': ')}, and is not signed", SIGN_IN)
    if not signature.signer(push, signed, ssh.FOR_GIT).allows(MAY_MAIN):
        raise PolicyError(
            f"the key of {signed.email} may not let {commit[:9]} in",
            f"on the server: pushforward trust KEY.pub --as {signed.email} --for {MAY_MAIN}",
        )
    return True
