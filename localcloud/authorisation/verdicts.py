# SPDX-License-Identifier: Apache-2.0
"""Whether policies let a principal do something: `evaluate`, as IAM evaluates.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from localcloud.authorisation.patterns import Context, arn_like, filled, like
from localcloud.authorisation.policies import Policy, Statement


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        arn: Of the session, `arn:aws:sts::<account>:assumed-role/<role>/<session>`, or of a user; a service's name
            (`events.amazonaws.com`) for a service that acts by itself.
        account: 12 digits; of a service, of what it acts for.
        role_arn: Of a session's role, empty for others.
    """

    arn: str
    account: str
    role_arn: str = ""

    @property
    def is_service(self) -> bool:
        return not self.arn.startswith("arn:")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        principal: Who asks.
        action: `s3:GetObject`.
        resource: ARN, or `*` for an action without resources.
        context: Values of condition keys, by key in small letters.
        account: Of the resource; the principal's where it is empty.
    """

    principal: Principal
    action: str
    resource: str
    context: Context = field(default_factory=dict)
    account: str = ""


@dataclass(frozen=True)
class Policies:
    """What there is to be evaluated.

    Attributes:
        identity: Of the user or role, inline and managed.
        resource: Of the resource; None where it has none.
        boundary: The permissions boundary; None where there is none.
        session: Given when the role was assumed; None where nothing was.
        needs_resource: Whether nothing is allowed that the resource's policy does not let in, as with KMS keys and the
            trust policies of roles.
    """

    identity: Sequence[Policy] = ()
    resource: Policy | None = None
    boundary: Policy | None = None
    session: Policy | None = None
    needs_resource: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    Attributes:
        allowed: Whether it may be done.
        reason: The end of AWS's sentence, for what is denied.
        statements: What allowed it.
    """

    allowed: bool
    reason: str = ""
    statements: tuple[Statement, ...] = ()

    def sentence(self, request: Request) -> str:
        """What AWS says to who was denied.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        who = f"User: {request.principal.arn} is not authorized to perform: {request.action}"
        return f"{who} on resource: {request.resource} {self.reason}"


def evaluate(request: Request, policies: Policies) -> Verdict:
    """Whether the policies allow the request."""
    for kind, policy in _all(policies):
        if any(not each.allows and _applies(each, request, kind) for each in policy.statements):
            return Verdict(False, f"with an explicit deny in {_A[kind]}")
    granting = list(_allowing(policies.resource, request, "resource", _is_meant))
    if request.principal.is_service:
        return _granted(granting) or _missing("resource", request)
    delegating = bool(list(_allowing(policies.resource, request, "resource", _is_account_of)))
    identity = [each for policy in policies.identity for each in _allowing(policy, request, "identity")]
    foreign = request.account not in ("", request.principal.account)
    if policies.needs_resource or foreign:
        if not (granting or delegating):
            return _missing("resource", request)
        if not identity and (foreign or not granting):
            return _missing("identity", request)
    elif not identity and not granting:
        return _missing("identity", request)
    if not any(_names_session(each, request.principal) for each in granting):
        for kind, limit in (("boundary", policies.boundary), ("session", policies.session)):
            if limit is not None and not any(_allowing(limit, request, kind)):
                return _missing(kind, request)
    return Verdict(True, statements=(*identity, *granting))


_A = {
    "identity": "an identity-based policy",
    "resource": "a resource-based policy",
    "boundary": "a permissions boundary",
    "session": "a session policy",
}


def _all(policies: Policies) -> Iterator[tuple[str, Policy]]:
    for policy in policies.identity:
        yield "identity", policy
    for kind, one in (("resource", policies.resource), ("boundary", policies.boundary), ("session", policies.session)):
        if one is not None:
            yield kind, one


def _granted(statements: list[Statement]) -> Verdict | None:
    return Verdict(True, statements=tuple(statements)) if statements else None


def _missing(kind: str, request: Request) -> Verdict:
    return Verdict(False, f"because no {_A[kind].split(' ', 1)[1]} allows the {request.action} action")


Names = Callable[[str, str, Principal], bool]


def _allowing(policy: Policy | None, request: Request, kind: str, names: Names | None = None) -> Iterator[Statement]:
    for each in policy.statements if policy else ():
        if each.allows and _applies(each, request, kind, names):
            yield each


def _applies(statement: Statement, request: Request, kind: str, names: Names | None = None) -> bool:
    return (
        _names_action(statement, request.action)
        and _names_resource(statement, request)
        and (kind != "resource" or _names_principal(statement, request.principal, names))
        and all(condition.holds(request.context) for condition in statement.conditions)
    )


def _names_action(statement: Statement, action: str) -> bool:
    named, patterns = statement.actions
    return any(like(pattern, action, ignoring_case=True) for pattern in patterns) == named


def _names_resource(statement: Statement, request: Request) -> bool:
    if statement.resources is None:
        return True
    named, patterns = statement.resources
    texts: Iterable[str] = (text for text in (filled(each, request.context) for each in patterns) if text is not None)
    return any(arn_like(text, request.resource) for text in texts) == named


def _names_principal(statement: Statement, principal: Principal, names: Names | None) -> bool:
    """Whether a statement means a principal: one that allows as `names` says, one that denies in any way.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    if statement.principals is None:
        return True
    named, pairs = statement.principals
    ways = (names,) if names and named else (_is_meant, _is_account_of)
    return any(way(kind, each, principal) for way in ways for kind, each in pairs) == named


def _is_meant(kind: str, named: str, principal: Principal) -> bool:
    """Whether a policy means just this principal, or everybody, which `"*"` and `{"AWS": "*"}` do alike."""
    if named == "*":
        return kind in ("*", "AWS")
    if principal.is_service:
        return kind == "Service" and named == principal.arn
    return kind == "AWS" and named in (principal.arn, principal.role_arn)


def _is_account_of(kind: str, named: str, principal: Principal) -> bool:
    """Whether a policy leaves it to the policies of the principal's account."""
    own = (principal.account, f"arn:aws:iam::{principal.account}:root")
    return kind == "AWS" and named in own and not principal.is_service


def _names_session(statement: Statement, principal: Principal) -> bool:
    """Whether a resource's policy names the session or user itself, which no boundary limits then.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    named, pairs = statement.principals or (False, ())
    return named and any(kind == "AWS" and each == principal.arn for kind, each in pairs)
