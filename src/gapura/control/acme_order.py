"""One order at one authority, from the account to the certificate (RFC 8555 §7.1)."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from typing import Any, Final

from acme import challenges, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.json_util import field

from gapura.config.local_names import is_address
from gapura.config.plan_acme import AcmePlan, DirectoryPlan
from gapura.control import dns_record
from gapura.control.acme_client import Client, Network, seconds
from gapura.control.local_ca import Pair, key_pem, new_key
from gapura.control.relay import Relay
from gapura.control.trouble import Trouble, name_of, of_problem, told

DEADLINE: Final = 150.0
"""Seconds that the checks of an authority, and then the issue itself, may take."""
FIRST_LOOK, LONGEST_PAUSE = 0.25, 5.0
"""Seconds between two questions whether the authority is done, unless it says by Retry-After when to ask."""


class _NewOrder(messages.NewOrder):
    """With the certificate that the new one replaces (RFC 9773 §5): authorities let renewals pass their limits."""

    replaces: str = field("replaces", omitempty=True)


class Order:
    """Gets a certificate for one host."""

    def __init__(self, relay: Relay, acme: AcmePlan, directory: DirectoryPlan, host: str, replaces: str) -> None:
        self._relay = relay
        self._acme = acme
        self._directory = directory
        self._host = host
        self._replaces = replaces
        self._authority = name_of(directory["url"])

    def run(self) -> Pair:
        """The chain and its key. Raises Trouble."""
        network = Network(self._directory["url"], self._acme["ca"])
        try:
            with told(self._host, self._directory["url"]):
                client = Client(self._directory, network, self._relay)
                client.log_in(self._acme["email"])
                return self._order(client)
        except Trouble as trouble:
            trouble.retry_after = trouble.retry_after or network.retry_after
            raise

    def _order(self, client: Client) -> Pair:
        key = key_pem(new_key(self._acme["key"]))
        address = is_address(self._host)
        domains = [] if address else [self._host]
        addresses = [ipaddress.ip_address(self._host.strip("[]"))] if address else []
        csr = crypto_util.make_csr(key.encode(), domains, ipaddrs=addresses)
        try:
            order = self._new_order(client, csr)
        except messages.Error as problem:
            if problem.code != "accountDoesNotExist":
                raise
            client.register(self._acme["email"])  # the authority has forgotten us
            order = self._new_order(client, csr)
        for authorization in order.authorizations:
            if authorization.body.status != messages.STATUS_VALID:
                self._prove(client, authorization)
        chain = self._finalize(client, order)
        self._check(chain, key)
        return Pair(chain, key)

    def _new_order(self, client: Client, csr: bytes) -> messages.OrderResource:
        replaces = self._replaces if "renewalInfo" in client.directory.to_partial_json() else ""
        kind = messages.IDENTIFIER_IP if is_address(self._host) else messages.IDENTIFIER_FQDN
        identifiers = [messages.Identifier(typ=kind, value=self._host.strip("[]"))]
        try:
            plain = messages.NewOrder(identifiers=identifiers)
            wanted = _NewOrder(identifiers=identifiers, replaces=replaces) if replaces else plain
            response = client._post(client.directory["newOrder"], wanted)
        except errors.ConflictError:  # it was replaced already (RFC 9773 §5)
            response = client._post(client.directory["newOrder"], messages.NewOrder(identifiers=identifiers))
        body = messages.Order.from_json(response.json())
        found = [client._authzr_from_response(client._post_as_get(url), uri=url) for url in body.authorizations]
        return messages.OrderResource(body=body, uri=response.headers.get("Location"), authorizations=found, csr_pem=csr)

    def _prove(self, client: Client, authorization: messages.AuthorizationResource) -> None:
        """Show that the host is ours, and wait until the authority has seen it."""
        by_dns = bool(self._acme["exec"] or self._acme["update"])
        kind = challenges.DNS01 if by_dns else challenges.HTTP01
        challenge = next((item for item in authorization.body.challenges if isinstance(item.chall, kind)), None)
        if challenge is None:
            way = "DNS" if by_dns else "HTTP"
            more = "" if by_dns else ": write dns in [edge.acme]"
            raise Trouble(f"{self._authority} does not let {self._host} be proved by {way}{more}")
        response, value = challenge.response_and_validation(client.network.key)
        with contextlib.ExitStack() as stack:
            if by_dns:
                name = challenge.chall.validation_domain_name(self._host.removeprefix("*."))
                stack.enter_context(dns_record.published(self._relay, self._acme, name, value))
            else:
                token = challenge.chall.encode("token")
                self._relay.keep("challenge", token, text=value)
                stack.callback(self._relay.forget, token)
            client.answer_challenge(challenge, response)
            self._await_proof(client, authorization)

    def _await_proof(self, client: Client, authorization: messages.AuthorizationResource) -> None:
        pauses = _Pauses()
        while True:
            authorization, response = client.poll(authorization)
            status = authorization.body.status
            if status == messages.STATUS_VALID:
                return
            if status not in (messages.STATUS_PENDING, messages.STATUS_PROCESSING):
                problem = next((item.error for item in authorization.body.challenges if item.error is not None), None)
                if problem is None:
                    raise Trouble(f"{self._authority} does not believe that {self._host} is ours")
                raise Trouble(of_problem(problem, self._host, self._authority))
            if not pauses.pause(seconds(response)):
                raise Trouble(f"{self._authority} has not checked {self._host} within {DEADLINE:.0f} s")

    def _finalize(self, client: Client, order: messages.OrderResource) -> str:
        """Hand in the request and wait for the chain."""
        pauses = _Pauses()
        handed_in = False
        while True:
            response = client._post_as_get(order.uri)
            body = messages.Order.from_json(response.json())
            if body.status == messages.STATUS_INVALID:
                raise Trouble(
                    of_problem(body.error, self._host, self._authority)
                    if body.error is not None
                    else f"{self._authority} has given up the order for {self._host}"
                )
            if body.status == messages.STATUS_VALID and body.certificate is not None:
                text = client._post_as_get(body.certificate).text
                return "".join(f"{line}\n" for line in text.replace("\r", "").split("\n") if line.strip())
            if body.status == messages.STATUS_READY and not handed_in:
                handed_in = True
                client.begin_finalization(order)
                continue
            if not pauses.pause(seconds(response)):
                raise Trouble(f"{self._authority} has not issued the certificate for {self._host} within {DEADLINE:.0f} s")

    def _check(self, chain: str, key: str) -> None:
        """What came must be a certificate for this host and our key: nothing else replaces one that works."""
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        public = load_pem_private_key(key.encode(), password=None).public_key()
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if is_address(self._host):
            found = [str(item) for item in names.get_values_for_type(x509.IPAddress)]
        else:
            found = names.get_values_for_type(x509.DNSName)
        if leaf.public_key() != public or self._host.strip("[]") not in [name.lower() for name in found]:
            raise Trouble(f"{self._authority} sent a certificate that is not for {self._host}")
        if leaf.not_valid_after_utc.timestamp() <= time.time():
            raise Trouble(f"{self._authority} sent a certificate that has expired; is the clock of this machine right?")


class _Pauses:
    """Waits between questions: longer and longer, or as long as was asked for, until the deadline."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + DEADLINE
        self._next = FIRST_LOOK

    def pause(self, asked: float) -> bool:
        """Wait; False when the time is over."""
        wait = max(self._next, min(asked, 60.0))
        if time.monotonic() + wait > self._deadline:
            return False
        time.sleep(wait)
        self._next = min(self._next * 1.6, LONGEST_PAUSE)
        return True


def certificate_id(pem: str) -> str:
    """How renewal information names a certificate (RFC 9773 §4.1); "" when it cannot be named."""
    from acme import client

    try:
        return str(client._renewal_info_path_component(x509.load_pem_x509_certificate(pem.encode())))
    except (ValueError, x509.ExtensionNotFound, AttributeError, TypeError):
        return ""


def renewal(client: Client, pem: str) -> tuple[float, float]:
    """When the authority suggests to renew (0: it says nothing), and when to ask again; both as seconds since 1970."""
    suggested, again = client.renewal_time(pem.encode())
    return (suggested.timestamp() if suggested else 0.0), again.timestamp()


def facts(chain: str) -> dict[str, Any]:
    """What is written into the record of a certificate."""
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    issuer = {item.oid: str(item.value) for item in leaf.issuer}
    organisation, name = issuer.get(x509.NameOID.ORGANIZATION_NAME, ""), issuer.get(x509.NameOID.COMMON_NAME, "")
    return {
        "issuer": " ".join(word for word in (organisation if organisation not in name else "", name) if word),
        "not_before": leaf.not_valid_before_utc.timestamp(),
        "not_after": leaf.not_valid_after_utc.timestamp(),
    }
