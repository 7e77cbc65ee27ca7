"""A client of one ACME directory (RFC 8555): bounded answers, Retry-After, the account, renewal information (RFC 9773)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from acme import client, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

from gapura import __version__
from gapura.config.plan_acme import AcmePlan, DirectoryPlan
from gapura.control.local_ca import key_pem
from gapura.control.relay import Relay
from gapura.control.trouble import Trouble, name_of

LARGEST: Final = 1 << 20
"""Bytes of an answer."""
PATIENCE: Final = 30
"""Seconds that an authority may be silent."""
NONCES: Final = 6
"""Times that a request is sent again with another nonce."""
LONGEST_WAIT: Final = 7 * 86400.0
"""Seconds for which a Retry-After is believed."""


class Client(client.ClientV2):
    """The directory of one authority, with our account there."""

    def __init__(self, directory: DirectoryPlan, network: Network, relay: Relay) -> None:
        self.url = directory["url"]
        self.network = network
        super().__init__(self.get_directory(self.url, network), network)
        self._plan = directory
        self._relay = relay

    def log_in(self, email: str) -> None:
        """Use the account that was kept, or make one. Its key is kept before anybody hears of it, so that no account gets lost."""
        name = account_name(self._plan, email)
        saved = _document(self._relay.lend("account", name))
        if saved is None:
            saved = {"directory": self.url, "key": key_pem(ec.generate_private_key(ec.SECP256R1())), "uri": ""}
            self._relay.keep("account", name, secret=saved)
        key = serialization.load_pem_private_key(saved["key"].encode(), password=None)
        self.network.key = JWKEC(key=key)
        if saved["uri"]:
            self.network.account = messages.RegistrationResource(uri=saved["uri"], body=messages.Registration())
        else:
            self.register(email)

    def register(self, email: str) -> None:
        """Make the account of our key, or find it; agree to the terms of service. Keeps its URL."""
        self.network.account = None
        binding = self._binding()
        body = messages.NewRegistration.from_data(
            email=email or None, terms_of_service_agreed=True, external_account_binding=binding
        )
        try:
            account = self.new_account(body)
        except errors.ConflictError as error:
            account = messages.RegistrationResource(uri=error.location, body=messages.Registration())
        self.network.account = account
        secret = {"directory": self.url, "key": self._key_pem(), "uri": str(account.uri)}
        self._relay.keep("account", account_name(self._plan, email), secret=secret)

    def _binding(self) -> dict[str, Any] | None:
        if not self._plan["key_id"]:
            if self.external_account_required():
                raise Trouble(f"{name_of(self.url)} wants an account made by hand: write external_account in [edge.acme]")
            return None
        secret = self._relay.lend("file", self._plan["key_file"])
        if secret is None:
            raise Trouble(f"the file {self._plan['key_file']} cannot be read")
        assert self.network.key is not None
        public = self.network.key.public_key()
        text = secret.decode("ascii", "replace").strip()
        return messages.ExternalAccountBinding.from_data(public, self._plan["key_id"], text, self.directory)

    def _key_pem(self) -> str:
        assert self.network.key is not None
        return key_pem(self.network.key.key._wrapped)


class Network(client.ClientNetwork):
    """Requests to one authority: only https, no endless answers, no credentials of other programs.

    `retry_after`: for how long the last answer, a failure, asked to be left alone, in seconds.
    """

    def __init__(self, url: str, ca: str) -> None:
        agent = f"Gapura/{__version__}"
        super().__init__(None, alg=ES256, verify_ssl=ca or True, user_agent=agent, timeout=PATIENCE)  # type: ignore[arg-type]
        self.url = url
        self.retry_after = 0.0
        self.session.mount("https://", _Bounded())
        self.session.auth = lambda request: request  # nothing out of a .netrc

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """A signed request. A nonce that the authority no longer takes is replaced some times (RFC 8555 §6.5), not just once."""
        for _ in range(NONCES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as problem:
                if problem.code != "badNonce":
                    raise
                self._nonces.clear()
        return self._post_once(*args, **kwargs)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        if not url.startswith("https://"):
            raise Trouble(f"{name_of(self.url)} leads to {url[:100]}, which is not https")
        kwargs["allow_redirects"] = False
        response = super()._send_request(method, url, *args, **kwargs)
        self.retry_after = seconds(response) if response.status_code >= 400 else 0.0
        return response


class _Bounded(HTTPAdapter):
    """Reads no more of an answer than anything in ACME can be."""

    def send(self, request: Any, stream: bool = False, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        response: requests.Response = super().send(request, stream=True, **kwargs)
        body = bytearray()
        for part in response.iter_content(1 << 16):
            body += part
            if len(body) > LARGEST:
                response.close()
                raise errors.ClientError("an answer without end")
        response._content = bytes(body)
        return response


def account_name(directory: DirectoryPlan, email: str) -> str:
    """The name under which the account is kept: another address or external account is another account."""
    words = json.dumps([directory["url"], email, directory["key_id"]])
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def seconds(response: requests.Response, otherwise: float = 0.0) -> float:
    """Retry-After (RFC 9110 §10.2.3) in seconds from now, at most a week."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return min(float(text), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return otherwise
    return min(max(0.0, at - time.time()), LONGEST_WAIT)


def directories(acme: AcmePlan, blocked: dict[str, float], now: float) -> list[DirectoryPlan]:
    """The authorities that may be asked now, in order."""
    return [item for item in acme["directories"] if blocked.get(item["url"], 0.0) <= now]


def _document(raw: bytes | None) -> dict[str, str] | None:
    """An account file; None when it is not there or makes no sense."""
    try:
        found = json.loads(raw or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"key", "uri"} <= found.keys() else None
