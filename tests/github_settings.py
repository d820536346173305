"""The part of the double of GitHub that a set-up reads and changes: settings, secrets, rulesets, by the plan."""

from dataclasses import dataclass, field
from typing import Any

FORBIDDEN = 403, {"message": "Upgrade to GitHub Pro or make this repository public to enable this feature."}
ABSENT = 404, {"message": "Not Found"}
PUBLIC_KEY = {"key": "", "key_id": "568250167242549743"}


@dataclass
class Settings:
    """What `octo/flights` has, and who `octo` is."""

    private: bool = False
    plan: str = "team"
    kind: str = "Organization"
    login: str = "ann"
    admin: bool = True
    writers: int = 2
    key: str = ""  # the public key that a secret is sealed to; gh of the double brings them plain
    tell_plan: bool = True
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)  # by scope
    variables: dict[str, str] = field(default_factory=dict)
    site: dict[str, Any] | None = None
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, Any] = field(
        default_factory=lambda: {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": False}
    )
    opened: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        """What GitHub does and says."""
        match method, parts:
            case "GET", ["user"]:
                return 200, {"login": self.login, "id": 7, "plan": {"name": self.plan}}
            case "GET", ["orgs", "octo"]:
                return 200, {"login": "octo", **({"plan": {"name": self.plan}} if self.tell_plan else {})}
            case "GET", ["orgs", "octo", "teams", "releasers"]:
                return 200, {"id": 1234}
            case "GET", ["repos", "octo", "flights"]:
                owner = {"login": "octo", "type": self.kind}
                told = {"private": self.private, "default_branch": "main", "owner": owner}
                return 200, {**told, "permissions": {"admin": self.admin}}
            case "GET", ["repos", "octo", "flights", "collaborators"]:
                return 200, [{"login": f"writer{number}"} for number in range(self.writers)]
            case _, ["repos", "octo", "flights", *rest]:
                return self._repository(method, rest, body)
        return ABSENT

    @property
    def paid(self) -> bool:
        """Whether it has environments and rulesets."""
        return not self.private or self.plan != "free"

    def _repository(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, parts:
            case "GET", ["actions", "permissions", "workflow"]:
                return 200, self.permissions
            case "PUT", ["actions", "permissions", "workflow"]:
                self.permissions = body
                return 204, None
            case _, ["rulesets", *rest]:
                return self._ruleset(method, rest, body) if self.paid else FORBIDDEN
            case _, ["environments", name, *rest]:
                return self._environment(method, name, rest, body) if self.paid else ABSENT
            case _, ["actions", "secrets", *rest]:
                return self._secret(method, "", rest, body)
            case "GET", ["pages"]:
                return (200, self.site) if self.site else ABSENT
            case "POST", ["pages"] if self.site is None:
                self.site = {**body, "html_url": "https://octo.example.org/flights/", "public": True}
                return 201, self.site
            case _, ["actions", "variables", *rest]:
                return self._variable(method, rest, body)
        return ABSENT

    def _variable(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, parts:
            case "GET", []:
                listed = [{"name": name, "value": value} for name, value in self.variables.items()]
                return 200, {"total_count": len(listed), "variables": listed}
            case "POST", []:
                if body["name"] in self.variables:
                    return 409, {"message": "Already exists - Variable already exists"}
                self.variables[body["name"]] = body["value"]
                return 201, {}
            case "PATCH", [name] if name in self.variables:
                self.variables[name] = body["value"]
                return 204, None
        return ABSENT

    def _ruleset(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, parts:
            case "GET", []:
                return 200, [{"id": one["id"], "name": one["name"]} for one in self.rulesets]
            case "POST", []:
                self.rulesets.append({"id": 100 + len(self.rulesets), "bypass_actors": [], **body})
                return 201, self.rulesets[-1]
            case "GET", [number]:
                return next(((200, one) for one in self.rulesets if one["id"] == int(number)), ABSENT)
            case "PUT", [number]:
                (one,) = (one for one in self.rulesets if one["id"] == int(number))
                one.update(body)
                return 200, one
        return ABSENT

    def _environment(self, method: str, name: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        if method == "PUT" and not parts:
            return self._put_environment(name, body)
        if name not in self.environments:
            return ABSENT
        policies = self.policies.setdefault(name, [])
        match method, parts:
            case "GET", []:
                return 200, self.environments[name]
            case "GET", ["deployment-branch-policies"]:
                return 200, {"total_count": len(policies), "branch_policies": policies}
            case "POST", ["deployment-branch-policies"]:
                policies.append({"id": 10 + len(policies), **body})
                return 200, policies[-1]
            case _, ["secrets", *rest]:
                return self._secret(method, name, rest, body)
        return ABSENT

    def _put_environment(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        """What a PUT leaves out is taken away. Reviewers of a private repository are Enterprise's."""
        if self.private and self.plan != "enterprise" and (body.get("reviewers") or "prevent_self_review" in body):
            return 422, {"message": "Failed to create the environment protection rule. Please ensure the billing plan"}
        rules: list[dict[str, Any]] = []
        if body.get("reviewers"):
            named = [{"type": one["type"], "reviewer": {"id": one["id"]}} for one in body["reviewers"]]
            prevent = body.get("prevent_self_review", False)
            rules.append({"type": "required_reviewers", "prevent_self_review": prevent, "reviewers": named})
        if body.get("wait_timer"):
            rules.append({"type": "wait_timer", "wait_timer": body["wait_timer"]})
        policy = body.get("deployment_branch_policy")
        self.environments[name] = {"name": name, "protection_rules": rules, "deployment_branch_policy": policy}
        return 200, self.environments[name]

    def _secret(self, method: str, scope: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        kept = self.secrets.setdefault(scope, {})
        match method, parts:
            case "GET", []:
                return 200, {"total_count": len(kept), "secrets": [{"name": name} for name in kept]}
            case "GET", ["public-key"]:
                return 200, {"key": self.key, "key_id": "1"}
            case "PUT", [name]:
                kept[name] = body
                return 201, None
        return ABSENT
