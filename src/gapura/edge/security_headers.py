"""Headers that make browsers careful. What the application says itself stays as it is."""

from __future__ import annotations

from typing import Final

from gapura.config.plan_access import SecurityHeadersPlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.edge.router import NEXT

_FRAMES: Final = {"same": (b"SAMEORIGIN", b"'self'"), "none": (b"DENY", b"'none'")}
_HIDDEN: Final = frozenset(
    (b"x-powered-by", b"x-aspnet-version", b"x-aspnetmvc-version", b"x-generator", b"x-runtime", b"x-drupal-cache")
)
_CSP, _FRAME = b"content-security-policy", b"x-frame-options"


class SecurityHeaders:
    """The step: installs a filter. `lines` by lower-case name, in the order in which they are sent."""

    __slots__ = ("lines", "hide", "frame", "ancestors", "csp")

    def __init__(self, plan: SecurityHeadersPlan) -> None:
        self.hide = plan["hide"]
        self.frame, self.ancestors = _FRAMES.get(plan["frame"], (b"", b""))
        self.csp = plan["csp"].encode()
        if self.ancestors and b"frame-ancestors" not in self.csp.lower():
            before = self.csp.rstrip(b"; ")
            self.csp = b"%b%bframe-ancestors %b" % (before, b"; " if before else b"", self.ancestors)
        self.lines: dict[bytes, bytes] = {b"x-content-type-options": b"X-Content-Type-Options: nosniff"}
        for name, value in (
            ("Referrer-Policy", plan["referrer"]),
            ("Permissions-Policy", plan["permissions"]),
            ("Cross-Origin-Opener-Policy", plan["opener"]),
            ("Cross-Origin-Resource-Policy", plan["resource"]),
        ):
            if value:
                self.lines[name.lower().encode()] = f"{name}: {value}".encode()

    def __call__(self, exchange: Exchange) -> int:
        Careful(exchange, self)
        return NEXT

    def head(self, block: bytes) -> bytes:
        """The head with what is missing in it."""
        lines = block.split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        there = set(names)
        if self.hide and there & _HIDDEN:
            lines = [line for line, name in zip(lines, names, strict=True) if name not in _HIDDEN]
        lines += [line for name, line in self.lines.items() if name not in there]
        # An application that says who may frame it is not contradicted: of both headers browsers follow frame-ancestors.
        if self.csp and _CSP not in there and (_FRAME not in there or b"frame-ancestors" not in self.csp):
            lines.append(b"Content-Security-Policy: " + self.csp)
        framed = b"frame-ancestors" in block.lower() if _CSP in there else False
        if self.frame and _FRAME not in there and not framed:
            lines.append(b"X-Frame-Options: " + self.frame)
        return b"\r\n".join(lines)


class Careful(Filter):
    """Puts the lines into an answer's head."""

    __slots__ = ("headers",)

    def __init__(self, exchange: Exchange, headers: SecurityHeaders) -> None:
        super().__init__(exchange)
        self.headers = headers

    def head(self, block: bytes) -> bytes:
        return self.headers.head(block)
