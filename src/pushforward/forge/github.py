"""GitHub: how a repository there is, and the calls that make it what the workflow files count on.

`setup` and `check` ask it by the port. It reads what is there first, and changes only what differs; what people have
set up stricter stays so.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushforward import process
from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import client, files, keys, plans, variables
from pushforward.forge.client import Api, Program, Token
from pushforward.forge.files import RIGHT
from pushforward.forge.plans import Allowance
from pushforward.forge.port import Call, Secret, Step, Wanted
from pushforward.pipeline import storage

ADDRESS = re.compile(
    r"(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|(?:[^@/:]+@))(?P<host>[\w.-]+)(?::\d+)?[:/]+"
    r"(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+?)(?:\.git)?/?"
)
PUBLIC = "github.com"
VERSION = "2022-11-28"
JUDGE, PRODUCTION = "judge", "production"
PRODUCTION_TAGS = "*#production#*"
SECRETS = {
    keys.SIGNING: "signs versions; the private half is nowhere else",
    keys.SEAL: "seals the numbers of a holdout that is in use",
}
SETUP = "pushforward setup github"
MOST_REVIEWERS = 6
ADMINISTRATORS = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
INSTEAD = {
    plans.ENVIRONMENTS: "GitHub ignores them, so a job with `environment: judge` runs with no rule. Its secrets are "
    "the repository's instead: any workflow of any branch that somebody with write access pushes can read them",
    plans.REVIEWERS: "nobody is asked before a release is published; who may release is by signature all the same",
    plans.RULESETS: "nothing holds main or the tags: the status is shown and not required, and whoever may push can "
    "move a tag. Everything that reads one asks for its signature all the same",
    plans.PAGES: "`pushforward web --export site` makes the pages, for another host that its readers reach",
    plans.OWNERS: "nobody is asked for a change of the judge itself: look at what touches .github/ before you merge",
}


@dataclass
class GitHub:
    """A repository of GitHub, or of a GitHub Enterprise Server at `host`."""

    host: str
    owner: str
    repo: str
    api: Api
    program: str = ""  # gh, where that is logged in
    _seen: dict[str, Any] = field(default_factory=dict, repr=False)

    name = "GitHub"

    @property
    def place(self) -> str:
        """The address of the repository, for people."""
        return f"https://{self.host}/{self.owner}/{self.repo}"

    @property
    def branch(self) -> str:
        """The default branch; of an empty repository the one that it will have."""
        return str(self._repository["default_branch"])

    @property
    def _at(self) -> str:
        return f"repos/{self.owner}/{self.repo}"

    def _get(self, path: str) -> Any:
        """What is at a path, asked for once."""
        if path not in self._seen:
            self._seen[path] = self.api.get(path)
        return self._seen[path]

    def _listed(self, path: str, key: str = "", **query: str) -> list[Any]:
        """Every entry of a list, asked for once."""
        if path not in self._seen:
            self._seen[path] = self.api.listed(path, key, **query)
        found: list[Any] = self._seen[path]
        return found

    @property
    def _repository(self) -> Any:
        found = self._get(self._at)
        if found is None:
            raise PushforwardError(
                f"{self.place} is not there, or not for this login to see", next=self.api.access, exit_code=TOOL
            )
        return found

    @property
    def _login(self) -> str:
        return str((self._get("user") or {}).get("login", ""))

    def allowance(self, said: str) -> Allowance:
        """What this repository can have, by its owner's plan; `said` is a person's word in place of GitHub's."""
        private = bool(self._repository["private"])
        plan = plans.named(said)
        if not plan and self.host != PUBLIC and not self.host.endswith(".ghe.com"):
            plan = "enterprise"
        if not plan and self._repository["owner"]["type"] == "Organization":
            plan = plans.named(_plan(self.api.get(f"orgs/{self.owner}", refused=True)))
        elif not plan and self._login == self.owner:
            plan = plans.named(_plan(self._get("user")))
        if not plan and private:
            raise PushforwardError(
                f"GitHub does not say to this login on which plan {self.owner} is, and what a private repository can "
                "have hangs on that",
                next=f"{SETUP} --plan {' or '.join(plans.PLANS)}",
            )
        return Allowance(plan or "free", private)

    # The steps.

    def steps(self, wanted: Wanted) -> Iterator[Step]:
        """Environments, secrets and rights: what a first run needs."""
        allowed = self.allowance(wanted.plan)
        if not self._repository.get("permissions", {}).get("admin"):
            raise PushforwardError(
                f"{self._login or 'this login'} is no administrator of {self.place}",
                next=self.api.access,
                exit_code=TOOL,
            )
        if allowed.has(plans.ENVIRONMENTS):
            yield from self._environment(JUDGE, (self.branch, "branch"), {})
        else:
            yield self._without(f"environment {JUDGE}", plans.ENVIRONMENTS, allowed)
        yield from self._secrets(JUDGE if allowed.has(plans.ENVIRONMENTS) else "", wanted)
        if allowed.has(plans.ENVIRONMENTS):
            asked = self._reviewers(wanted.reviewers) if allowed.has(plans.REVIEWERS) else {}
            yield from self._environment(PRODUCTION, (PRODUCTION_TAGS, "tag"), asked)
        if not allowed.has(plans.REVIEWERS):
            yield self._without(f"reviewers of {PRODUCTION}", plans.REVIEWERS, allowed)
        elif not wanted.reviewers and not self._rule(PRODUCTION, "required_reviewers").get("reviewers"):
            yield Step(
                f"reviewers of {PRODUCTION}",
                "nobody is asked before a release is published",
                by_hand=f"{SETUP} --reviewer USER, or --reviewer ORG/TEAM",
                optional=True,
            )
        yield from self._permissions()
        at = f"{self._at}/actions/variables"
        known = {one["name"]: one["value"] for one in self._listed(at, "variables")}
        if variables.asked(wanted):
            yield from variables.roles(at, known, wanted, SETUP)
        if not wanted.pages and variables.PAGES not in known:
            return
        if allowed.has(plans.PAGES):
            expected = f"https://{self.owner.lower()}.github.io/{self.repo}"
            site = variables.Site(self._at, self._get(f"{self._at}/pages"), expected, wanted.pages)
            yield from variables.site(site, known, allowed)
        else:
            yield self._without("site by Pages", plans.PAGES, allowed)

    def files(self, root: Path, wanted: Wanted) -> Iterator[Step]:
        """Allowed signers, code owners, DVC remote and workflows."""
        fresh = any(
            isinstance(act, Secret) and act.name == keys.SIGNING
            for step in self._secrets(self._scope(wanted), wanted)
            for act in step.acts
        )
        store = wanted.store or storage.storage(root).url
        variables.checked(wanted, store)
        yield from files.store(root, wanted, SETUP)
        if store.startswith(variables.S3) and not variables.asked(wanted):
            yield variables.nobody(SETUP)
        yield from files.rendered(root, wanted)
        yield from files.allowed_signers(root, wanted, fresh=fresh)
        allowed = self.allowance(wanted.plan)
        if allowed.has(plans.OWNERS):
            yield from files.code_owners(root, wanted.owners or (f"@{self._login}",))
        else:
            yield self._without("code owners", plans.OWNERS, allowed)

    def rules(self, wanted: Wanted) -> Iterator[Step]:
        """The rulesets of the default branch and of tags."""
        allowed = self.allowance(wanted.plan)
        if not allowed.has(plans.RULESETS):
            yield self._without("rulesets", plans.RULESETS, allowed)
            return
        alone = len(self._listed(f"{self._at}/collaborators", affiliation="all")) < 2
        known = {one["name"]: one["id"] for one in self._listed(f"{self._at}/rulesets", includes_parents="false")}
        teams = [self._team(one) for one in wanted.reviewers if "/" in one]
        releasers = [{"actor_id": one, "actor_type": "Team", "bypass_mode": "always"} for one in teams]
        for ruleset in (_judged(alone=alone), _kept(), _released(releasers)):
            lost = ALONE if alone and ruleset["target"] == "branch" else ""
            yield self._ruleset(ruleset, known.get(ruleset["name"]), lost)

    def _without(self, name: str, feature: str, allowed: Allowance) -> Step:
        said = f"not for a repository that is {allowed.who}"
        return Step(name, said, lost=f"{plans.SAID[feature]}: {INSTEAD[feature]}")

    def _scope(self, wanted: Wanted) -> str:
        return JUDGE if self.allowance(wanted.plan).has(plans.ENVIRONMENTS) else ""

    def _environment(self, name: str, policy: tuple[str, str], asked: Mapping[str, Any]) -> Iterator[Step]:
        """An environment that takes runs of one branch or tag pattern alone, and asks people where they are named."""
        at = f"{self._at}/environments/{name}"
        pattern, kind = policy
        there = self._get(at)
        acts, found = [], []
        custom = {"protected_branches": False, "custom_branch_policies": True}
        body = {**self._body(name, asked), "deployment_branch_policy": custom}
        if body != {**self._kept_of(name), "deployment_branch_policy": (there or {}).get("deployment_branch_policy")}:
            acts.append(Call("PUT", at, body, f"makes the environment {name}, which takes only what is named"))
            found.append("is not there" if there is None else "takes runs of other branches, or asks fewer people")
        listed = [] if there is None else self._listed(f"{at}/deployment-branch-policies", "branch_policies")
        policies = [(one["name"], one.get("type", "branch")) for one in listed]
        if (pattern, kind) not in policies:
            why = f"lets workflows of the {kind} {pattern} into it"
            acts.append(Call("POST", f"{at}/deployment-branch-policies", {"name": pattern, "type": kind}, why))
            found.append(f"does not take the {kind} {pattern}")
        yield Step(f"environment {name}", "; ".join(found) or RIGHT, tuple(acts))
        for one in listed:
            if (one["name"], one.get("type", "branch")) != (pattern, kind):
                yield Step(
                    f"environment {name}, {one.get('type', 'branch')} {one['name']}",
                    "its workflows reach the secrets too",
                    by_hand=f"gh api --method DELETE {at}/deployment-branch-policies/{one['id']}, if that is not meant",
                    optional=True,
                )

    def _rule(self, environment: str, kind: str) -> Any:
        there = self._get(f"{self._at}/environments/{environment}") or {}
        return next((one for one in there.get("protection_rules") or () if one.get("type") == kind), {})

    def _kept_of(self, environment: str) -> dict[str, Any]:
        """What people have set up of an environment, which a PUT would take away."""
        review, wait = self._rule(environment, "required_reviewers"), self._rule(environment, "wait_timer")
        kept: dict[str, Any] = {}
        if wait:
            kept["wait_timer"] = wait["wait_timer"]
        if review:
            kept["prevent_self_review"] = bool(review.get("prevent_self_review"))
            kept["reviewers"] = [{"type": one["type"], "id": one["reviewer"]["id"]} for one in review["reviewers"]]
        return kept

    def _body(self, environment: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """An environment with what people have set up, and with who is to be asked beside those."""
        kept = self._kept_of(environment)
        there = kept.get("reviewers", [])
        more = [one for one in asked.get("reviewers", []) if one not in there]
        return {**kept, **asked, **({"reviewers": [*there, *more]} if there or more else {})}

    def _reviewers(self, named: tuple[str, ...]) -> dict[str, Any]:
        if not named:
            return {}
        if len(named) > MOST_REVIEWERS:
            raise PushforwardError(
                f"GitHub takes {MOST_REVIEWERS} reviewers, and these are {len(named)}", next="a team"
            )
        found = [
            {"type": "Team", "id": self._team(one)} if "/" in one else {"type": "User", "id": self._user(one)}
            for one in named
        ]
        return {"prevent_self_review": True, "reviewers": found}

    def _team(self, name: str) -> int:
        org, _, team = name.partition("/")
        return self._identity(f"orgs/{org}/teams/{team}", f"team {name}")

    def _user(self, name: str) -> int:
        return self._identity(f"users/{name}", f"user {name}")

    def _identity(self, path: str, words: str) -> int:
        found = self._get(path)
        if found is None:
            raise PushforwardError(f"there is no {words} for this login to see", next=f"gh api {path}", exit_code=TOOL)
        return int(found["id"])

    def _secrets(self, scope: str, wanted: Wanted) -> Iterator[Step]:
        """The judge's two secrets: one that is there stays, but for a new key that is asked for."""
        at = f"{self._at}/environments/{scope}/secrets" if scope else f"{self._at}/actions/secrets"
        known = {one["name"] for one in self._listed(at, "secrets")}
        everywhere = {one["name"] for one in self._listed(f"{self._at}/actions/secrets", "secrets")} if scope else set()
        makers = {keys.SIGNING: wanted.keys.private, keys.SEAL: wanted.keys.seal}
        for name, why in SECRETS.items():
            title = f"secret {name}"
            where = f"the environment {scope}" if scope else "the repository"
            if name not in known or (wanted.rotate and name == keys.SIGNING):
                act = Secret(name, scope, makers[name], why)
                yield Step(title, f"is not in {where}" if name not in known else "is to be another", (act,))
            elif name == keys.SIGNING and not wanted.signs:
                yield Step(
                    title, "its public half counts nowhere", by_hand=f"{SETUP} --rotate, which makes another pair"
                )
            else:
                yield Step(title, RIGHT)
            if name in everywhere:
                yield Step(
                    f"{title} of the whole repository",
                    "any workflow of any branch reads it, and the environment has its own",
                    by_hand=f"gh secret delete {name} --repo {self.owner}/{self.repo}",
                )

    def _permissions(self) -> Iterator[Step]:
        """What the token of a job may, where the job does not say it: read."""
        at = f"{self._at}/actions/permissions/workflow"
        there = self._get(at) or {}
        title = "token of workflows"
        if there.get("default_workflow_permissions") == "read":
            yield Step(title, RIGHT)
            return
        body = {"default_workflow_permissions": "read"}
        if "can_approve_pull_request_reviews" in there:
            body["can_approve_pull_request_reviews"] = there["can_approve_pull_request_reviews"]
        why = "has a job's token read only, unless the job asks for more"
        yield Step(title, "may write where a job does not say so", (Call("PUT", at, body, why),))

    def _ruleset(self, ours: dict[str, Any], number: int | None, lost: str) -> Step:
        title = f"ruleset {ours['name']}"
        why = WHY[ours["name"]]
        if number is None:
            made = (
                {**ours, "bypass_actors": ours["bypass_actors"] or [ADMINISTRATORS]}
                if "bypass_actors" in ours
                else ours
            )
            return Step(title, "is not there", (Call("POST", f"{self._at}/rulesets", made, why),), lost)
        there = self._get(f"{self._at}/rulesets/{number}") or {}
        both = stricter(there, ours)
        if all(there.get(name) == value for name, value in both.items()):
            return Step(title, RIGHT, lost=lost)
        return Step(title, "asks for less", (Call("PUT", f"{self._at}/rulesets/{number}", both, why),), lost)

    # The acts.

    def call(self, act: Call) -> Any:
        """Have a call done."""
        return self.api.call(act)

    def set_secret(self, secret: Secret) -> None:
        """Set a secret: by gh, which seals it, else sealed here."""
        if self.program:
            where = ["--env", secret.scope] if secret.scope else []
            repo = f"{self.owner}/{self.repo}" if self.host == PUBLIC else f"{self.host}/{self.owner}/{self.repo}"
            command = [self.program, "secret", "set", secret.name, *where, "--repo", repo]
            process.run(command, env=client.environment(), stdin=secret.value().encode(), timeout=client.TIMEOUT * 2)
            return
        at = f"{self._at}/environments/{secret.scope}/secrets" if secret.scope else f"{self._at}/actions/secrets"
        public = self.api.call(Call("GET", f"{at}/public-key"))
        body = {"encrypted_value": keys.sealed(public["key"], secret.value()), "key_id": public["key_id"]}
        self.api.call(Call("PUT", f"{at}/{secret.name}", body))

    def open_pull(self, branch: str, title: str, body: str) -> Call | None:
        """The call that opens a pull request of a branch of this repository; None where one is open."""
        if self.api.listed(f"{self._at}/pulls", head=f"{self.owner}:{branch}", state="open"):
            return None
        told = {"title": title, "head": branch, "base": self.branch, "body": body}
        return Call("POST", f"{self._at}/pulls", told, "asks for review of the files")


ALONE = (
    "an approval: nobody else may write here who could give one, so none is asked for. With one more person, the same "
    "again asks for it"
)
WHY = {
    "main is judged": "lets main move only by a pull request whose verdict is in",
    "registry tags stay": "lets nobody move or delete a version or a use",
    "people release": "lets only who releases put a version to production, or deprecate one",
}


def _judged(*, alone: bool) -> dict[str, Any]:
    review = {
        "required_approving_review_count": 0 if alone else 1,
        "dismiss_stale_reviews_on_push": not alone,
        "require_code_owner_review": not alone,
        "require_last_push_approval": not alone,
        "required_review_thread_resolution": False,
    }
    status = {
        "strict_required_status_checks_policy": True,
        "required_status_checks": [{"context": "pushforward"}],
    }
    rules: list[dict[str, Any]] = [
        {"type": "deletion"},
        {"type": "non_fast_forward"},
        {"type": "pull_request", "parameters": review},
        {"type": "required_status_checks", "parameters": status},
    ]
    return _active("main is judged", "branch", ["~DEFAULT_BRANCH"], rules)


def _kept() -> dict[str, Any]:
    rules = [{"type": "update"}, {"type": "deletion"}, {"type": "non_fast_forward"}]
    return _active("registry tags stay", "tag", ["refs/tags/*@v*", "refs/tags/*#*"], rules)


def _released(actors: list[dict[str, Any]]) -> dict[str, Any]:
    """Without `actors` whoever is named there, else the administrators."""
    made = _active("people release", "tag", ["refs/tags/*#production#*", "refs/tags/*@v*!"], [{"type": "creation"}])
    return {**made, "bypass_actors": actors}


def _active(name: str, target: str, include: list[str], rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "target": target,
        "enforcement": "active",
        "conditions": {"ref_name": {"include": include, "exclude": []}},
        "rules": rules,
    }


def stricter(there: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A ruleset that asks for all that ours does, and for what people have put into theirs beside."""
    known = {rule["type"]: rule for rule in there.get("rules") or ()}
    rules = []
    for rule in ours["rules"]:
        mine, theirs = rule.get("parameters") or {}, known.pop(rule["type"], {}).get("parameters") or {}
        both = {**theirs, **{name: _more(theirs.get(name), value) for name, value in mine.items()}}
        rules.append({"type": rule["type"], **({"parameters": both} if both else {})})
    order = [rule["type"] for rule in there.get("rules") or ()]
    rules = sorted([*rules, *known.values()], key=lambda rule: _place(order, rule["type"]))
    wanted = ours["conditions"]["ref_name"]["include"]
    named = ((there.get("conditions") or {}).get("ref_name") or {}).get("include") or []
    include = [*named, *(one for one in wanted if one not in named)]
    both = {**ours, "conditions": {"ref_name": {"include": include, "exclude": []}}, "rules": rules}
    return both | ({"bypass_actors": _actors(there, ours["bypass_actors"])} if "bypass_actors" in ours else {})


def _actors(there: Mapping[str, Any], ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who may do what a ruleset forbids: those named there and ours; the administrators where nobody is."""
    named = [one for one in there.get("bypass_actors") or () if not ours or one != ADMINISTRATORS]
    return [*named, *(one for one in ours if one not in named)] or [ADMINISTRATORS]


def _place(order: list[str], kind: str) -> int:
    return order.index(kind) if kind in order else len(order)


def _more(theirs: Any, ours: Any) -> Any:
    """The stricter of two values of a rule."""
    if isinstance(ours, list):
        listed = theirs if isinstance(theirs, list) else []
        have = {one.get("context") for one in listed}
        return [*listed, *(one for one in ours if one["context"] not in have)]
    if theirs is None:
        return ours
    return max(theirs, ours)


def _plan(tree: Any) -> str:
    return str(((tree or {}).get("plan") or {}).get("name", ""))


def find(address: str, say: Any = None) -> GitHub:
    """The repository that a git remote's address names, by gh where that is logged in, else by a token."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise PushforwardError(
            f"the git remote is at {address or 'no address'}, which is no repository of GitHub",
            next="git remote set-url origin https://github.com/OWNER/REPO, or --repo HOST/OWNER/REPO",
        )
    host, owner, repo = found["host"], found["owner"], found["repo"]
    token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
    if client.logged_in("gh", "auth", "token", "--hostname", host):
        program = Program(("gh", "api", "--hostname", host))
        api = Api("GitHub", program, f"gh auth refresh --hostname {host} --scopes repo,read:org, as an administrator")
        name = "gh"
    elif token:
        root = os.environ.get("GITHUB_API_URL") or (
            "https://api.github.com" if host == PUBLIC else f"https://{host}/api/v3"
        )
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
        }
        api = Api("GitHub", Token(root, headers), "a token of an administrator: scopes repo and read:org")
        name = ""
    else:
        raise PushforwardError(
            f"nobody is logged in to {host}: there is no gh that is, and no GH_TOKEN",
            next=f"gh auth login --hostname {host}",
            exit_code=TOOL,
        )
    if say is not None:
        api.say = say
    return GitHub(host, owner, repo, api, name)
