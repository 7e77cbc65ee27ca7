"""Why a certificate could not be got, in words that say what to do. Only the child that issues imports this module."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import josepy
import requests
from acme import errors, messages

_WORDS: Final = {
    "dns": "{authority} finds no address for {host} in the public DNS{here}. Point the name at this server",
    "connection": "{authority} could not reach {host} on port 80{here}. Open it in firewall and router, or prove the name by DNS",
    "unauthorized": "what answers for {host} at {authority}'s request is not this Gapura{here}. Point the name at this server",
    "caa": "the CAA record of {host} does not allow {authority}",
    "rejectedIdentifier": "{authority} gives no certificates for {host}",
    "rateLimited": "{authority} has had too many requests for {host}",
    "externalAccountRequired": "{authority} wants an account made by hand: write external_account in [edge.acme]",
    "userActionRequired": "{authority} wants its new terms of service to be read and agreed to",
    "badCSR": "{authority} does not take this kind of key: try another key in [edge.acme]",
}
"""By the error types of RFC 8555 §6.7."""
_LONGEST: Final = 300


class Trouble(Exception):
    """What went wrong, in a sentence. `retry_after`: seconds for which the authority does not want to be asked again."""

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.text = text
        self.retry_after = retry_after


def name_of(url: str) -> str:
    """What people call the authority with this directory."""
    host = urlsplit(url).hostname or url
    known = {"letsencrypt.org": "Let's Encrypt", "zerossl.com": "ZeroSSL", "pki.goog": "Google", "ssl.com": "SSL.com"}
    return next((name for end, name in known.items() if host.endswith(end)), host)


def of_problem(problem: messages.Error, host: str, authority: str) -> str:
    """A problem document (RFC 7807) of an authority as a sentence: ours, and what it says itself."""
    template = _WORDS.get(problem.code or "", "{authority} refuses {host}")
    ours = template.format(authority=authority, host=host, here=_here(host))
    said = printable(str(problem.detail or problem.title or problem.typ or ""))
    return f"{ours} ({said})" if said else ours


@contextlib.contextmanager
def told(host: str, url: str) -> Iterator[None]:
    """Turn whatever an authority can do wrong into a Trouble."""
    authority = name_of(url)
    try:
        yield
    except Trouble:
        raise
    except messages.Error as problem:
        raise Trouble(of_problem(problem, host, authority)) from None
    except errors.ValidationError as error:
        raise Trouble(f"{authority} could not check {host}: {printable(str(error))}") from None
    except requests.exceptions.SSLError as error:
        hint = "for an authority of your own, name its root certificate: ca in [edge.acme]"
        raise Trouble(f"{authority} shows a certificate that cannot be verified ({_innermost(error)}); {hint}") from None
    except requests.exceptions.Timeout:
        raise Trouble(f"{authority} does not answer in time") from None
    except requests.exceptions.RequestException as error:
        raise Trouble(f"{authority} cannot be reached from here: {_innermost(error)}") from None
    except errors.ClientError as error:
        response = error.args[0] if error.args else None
        status = response.status_code if isinstance(response, requests.Response) else 0
        if status == 429:
            raise Trouble(f"{authority} has had too many requests from here") from None
        if status >= 500:
            raise Trouble(f"{authority} is out of order (status {status})") from None
        raise Trouble(f"{authority} answers something that is not ACME{f' (status {status})' if status else ''}") from None
    except (
        errors.Error,
        josepy.errors.Error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        RecursionError,
    ) as error:
        said = printable(str(error)) or type(error).__name__
        raise Trouble(f"{authority} answers something that makes no sense: {said}") from None
    except OSError as error:
        raise Trouble(f"{authority} cannot be asked: {error.strerror or error}") from None


def addresses(host: str) -> list[str] | None:
    """Where a name leads to from here; None when no server knows it, nothing when it could not be found out."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return None if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else []
    except (OSError, UnicodeError):
        return []
    return sorted({str(entry[4][0]) for entry in found})


def printable(text: str) -> str:
    """A stranger's text for a log line or a terminal: one line, bounded (CWE-117)."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _here(host: str) -> str:
    found = addresses(host.removeprefix("*."))
    if found is None:
        return "; on this machine nobody knows it"
    return f"; on this machine it leads to {', '.join(found[:3])}" if found else ""


def _innermost(error: BaseException) -> str:
    """The system's own words out of what requests and urllib3 have wrapped around them."""
    for _ in range(10):
        inner = error.__cause__ or getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
            return str(error.strerror or os.strerror(error.errno)).lower()
        if not isinstance(inner, BaseException):
            break
        error = inner
    return printable(str(error))
