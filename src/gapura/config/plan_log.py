"""The part of a plan that says what is written down about requests, where, and how files are rotated."""

from __future__ import annotations

from typing import Final, TypedDict

SECRETS: Final = (
    *("access_token", "api_key", "apikey", "auth", "auth_token", "authorization", "client_secret", "code", "code_verifier"),
    *("credential", "credentials", "csrf_token", "id_token", "jwt", "key", "otp", "passphrase", "passwd", "password", "pin"),
    *("private_key", "pwd", "refresh_token", "reset_token", "secret", "session", "session_id", "sessionid", "sid", "sig"),
    *("signature", "token", "x-amz-credential", "x-amz-security-token", "x-amz-signature", "x-goog-credential"),
    "x-goog-signature",
)
"""Parameters that commonly hold what must not be read by whoever reads logs (CWE-532)."""


class SamplePlan(TypedDict):
    """Which share of the lines is written."""

    rate: float  # 0 to 1
    errors: bool  # every answer of 500 and above is written
    slow: float  # every exchange that took so long (s) is written; 0 = none for that reason


class SyslogPlan(TypedDict):
    """A syslog server, and what stands before each line."""

    path: str  # of a UNIX datagram socket, or ""
    host: str  # name or address for UDP, or ""
    port: int
    rfc: int  # 3164 or 5424
    priority: int  # facility * 8 + severity
    tag: str


class AccessLogPlan(TypedDict):
    """One way of logging: where to, what a line looks like, which exchanges have one."""

    path: str  # "" = off, "-" = standard output; with `syslog` its name as written
    format: str  # "combined", "common", "json" or a format string with $variables
    escape: str  # of a format string: "text" or "json"
    mask: list[str] | None  # parameters of query strings whose values are hidden; None = SECRETS
    anonymize: bool  # client addresses are cut
    only: list[list[int]]  # pairs of lowest and highest status; [] = every status
    sample: SamplePlan | None  # None = every line
    syslog: SyslogPlan | None


class RotatePlan(TypedDict):
    """When a file makes place for a new one; 0 = not for this reason."""

    size: int  # bytes
    every: float  # seconds, counted from midnight, for whole weeks from Monday
    keep: int  # older files
    compress: bool


class LogFilePlan(TypedDict):
    """A file that workers write."""

    path: str  # absolute
    rotate: RotatePlan | None  # None = by somebody else, or never
