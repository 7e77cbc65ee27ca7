"""From the keys of a site and its route to their plan: changes of header fields and targets, old addresses."""

from __future__ import annotations

from typing import Any

from . import regexes
from .build_match import decoded, warn_of_nesting
from .findings import Findings
from .options import Options
from .plan_edit import EditPlan, HeadersPlan, RedirectPlan, RewritePlan
from .positions import Path
from .schema_edit import RequestHeaders, ResponseHeaders, Rewrite
from .schema_reply import RedirectRule
from .texts import NONE, Groups, check_text, groups_of

Headers = RequestHeaders | ResponseHeaders
_NO_PROXY = "rewrite = { to = …, reroute = true } looks for another route"


def edit(options: Options, groups: Groups = NONE) -> EditPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing. `groups`: of the route's regex."""
    route: Any = options.route
    findings = options.findings
    proxied = _proxied(route)
    if route.request_headers is not None and not proxied:
        message = "request_headers belongs to proxy: nothing else gets the request"
        if options.route is not options.site and (route.files or route.redirect or route.respond):
            findings.error((*options.path, "request_headers"), message, "leave it out", at_key=True)
    plan: EditPlan = {
        "request": _headers(options, "request_headers", groups, answered=False) if proxied else None,
        "response": _headers(options, "response_headers", groups, answered=True),
        "redirects": _redirects(options, groups),
        "rewrites": _rewrites(findings, (*options.path, "rewrite"), route, groups),
        "strip": "" if route.strip_prefix is None else _strip(findings, (*options.path, "strip_prefix"), route),
    }
    return plan if any(plan.values()) else None


def replacement(route: Any) -> str | None:
    """What takes the place of the matched part of the path: `rewrite` in its plain form."""
    rules: list[Rewrite] = route.rewrite or []
    return rules[0].to if len(rules) == 1 and _plain(route, rules[0]) else None


def _strip(findings: Findings, path: Path, route: Any) -> str:
    if route.rewrite:
        findings.error(path, "strip_prefix and rewrite both say what the path becomes", "keep one of them", at_key=True)
    return decoded(route.strip_prefix).rstrip("/")


def _plain(route: Any, rule: Rewrite) -> bool:
    """`rewrite = "/new/"` as nginx's proxy_pass with a path: no regex, no variable, the query stays."""
    return rule.match is None and not rule.reroute and "$" not in rule.to and "?" not in rule.to and _kind(route) != "regex"


def _proxied(route: Any) -> bool:
    return route.proxy is not None or route.split is not None


def _action(route: Any) -> str:
    return next((name for name in ("files", "redirect", "respond") if getattr(route, name) is not None), "nothing")


def _kind(route: Any) -> str:
    return getattr(route, "kind", "prefix")


def _rewrites(findings: Findings, path: Path, route: Any, groups: Groups) -> list[RewritePlan]:
    plans: list[RewritePlan] = []
    rules: list[Rewrite] = route.rewrite or []
    if replacement(route) is not None:
        if not _proxied(route):
            findings.error(path, f"rewrite belongs to proxy, this is {_action(route)}", _NO_PROXY, at_key=True)
        return plans
    for index, rule in enumerate(rules):
        here = (*path, index)
        known = groups
        if rule.match is not None:
            known = groups_of(findings, (*here, "match"), rule.match)
            warn_of_nesting(findings, (*here, "match"), rule.match)
        if not _proxied(route) and not rule.reroute:
            findings.error(path, f"rewrite belongs to proxy, this is {_action(route)}", _NO_PROXY, at_key=True)
        check_text(findings, (*here, "to"), rule.to, known)
        if rule.match is None and index < len(rules) - 1:
            findings.error((*here, "to"), "no rule after this one is reached", "give it a match, or write it last")
        plans.append({"match": regexes.translated(rule.match or ""), "to": rule.to, "reroute": rule.reroute})
    return plans


def _redirects(options: Options, groups: Groups) -> list[RedirectPlan]:
    """The rules of the route, else of the site: exact ones first, as they are tried."""
    plans: list[RedirectPlan] = []
    seen: set[str] = set()
    rules: list[RedirectRule] = options.get("redirects") or []
    findings = options.findings
    for index, rule in enumerate(rules):
        here = options.where("redirects", index)
        known = NONE
        if (rule.path is None) == (rule.match is None):
            message = "a redirect has a path or a match" if rule.path is None else "a redirect has both a path and a match"
            findings.error(here, message, 'write path = "/old.html", or match = "^/old/(.*)"')
        if rule.match is not None:
            known = groups_of(findings, (*here, "match"), rule.match)
            warn_of_nesting(findings, (*here, "match"), rule.match)
        elif rule.path in seen:
            findings.error((*here, "path"), f'"{rule.path}" has two redirects', "keep one of them")
        seen.add(rule.path or "")
        check_text(findings, (*here, "to"), rule.to, known if rule.match else groups)
        plans.append(
            {"path": decoded(rule.path or ""), "match": regexes.translated(rule.match or ""), "to": rule.to, "status": rule.status}
        )
    return sorted(plans, key=lambda plan: not plan["path"])


def _headers(options: Options, key: str, groups: Groups, *, answered: bool) -> HeadersPlan | None:
    """The site's changes and the route's; for a header that the route names, the site's do not count."""
    removed: list[str] = []
    added: list[list[str]] = []
    own: Headers | None = getattr(options.route, key)
    sites: Headers | None = None if options.site is options.route else getattr(options.site, key)
    named = _names(own)
    for headers, path in ((sites, (*options.site_path, key)), (own, (*options.path, key))):
        if headers is None:
            continue
        usable = NONE if headers is sites else groups
        skipped = named if headers is sites else set()
        _check_once(options.findings, path, headers)
        removed += [name.lower() for name in headers.remove or [] if name.lower() not in skipped]
        for name, value in (headers.set or {}).items():
            check_text(options.findings, (*path, "set", name), value, usable, answered=answered)
            if name.lower() not in skipped:
                removed.append(name.lower())
                if value:
                    added.append([name, value])
        for name, values in (headers.add or {}).items():
            for value in values:
                check_text(options.findings, (*path, "add", name), value, usable, answered=answered)
                if name.lower() not in skipped:
                    added.append([name, value])
    return {"remove": list(dict.fromkeys(removed)), "add": added} if removed or added else None


def _names(headers: Headers | None) -> set[str]:
    if headers is None:
        return set()
    return {name.lower() for group in (headers.set, headers.add, headers.remove) for name in group or ()}


def _check_once(findings: Findings, path: Path, headers: Headers) -> None:
    """A header that is set is neither removed nor set again in other letters."""
    seen: set[str] = set()
    for name in headers.set or {}:
        if name.lower() in seen:
            findings.error((*path, "set", name), f"{name} is set twice", "capital letters do not count: keep one", at_key=True)
        seen.add(name.lower())
    for index, name in enumerate(headers.remove or []):
        if name.lower() in seen:
            hint = "set takes the place of what there is: leave it out of remove"
            findings.error((*path, "remove", index), f"{name} is both set and removed", hint)
