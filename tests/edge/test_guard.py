"""The order in which a request is judged, and limits that hold while it is."""

from __future__ import annotations

import pytest

from gapura.edge import basic_auth, guard
from gapura.edge.router import Step

from .client import get
from .edge import Edge

SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="  # secret
LOGIN = "Authorization: Basic YWxpY2U6c2VjcmV0"
USERS = f'basic_auth = {{ users = {{ alice = "{SHA}" }} }}'


def names(edge: Edge) -> list[str]:
    """The steps of the only route, by the names of their classes or functions."""

    def name(step: Step) -> str:
        inner = getattr(step, "func", step)
        return getattr(inner, "__name__", type(inner).__name__)

    return [name(step) for step in edge.worker.snapshot.router.site(b"a")[1].only.steps]  # type: ignore[union-attr]


async def test_a_plain_route_has_no_step_more(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\n')
    assert len(names(edge)) == 1


async def test_the_order(edge: Edge) -> None:
    (edge.folder / "key").write_text("x" * 40)
    await edge.start(
        f"""
        [sites."*"]
        proxy = "127.0.0.1:9"
        {USERS}
        jwt = {{ keys = "key", header = "X-Token" }}
        forward_auth = {{ to = "127.0.0.1:9", headers = "Remote-User" }}
        allow = "private"
        cors = true
        security_headers = true
        """
    )
    found = names(edge)
    assert found[:-1] == [
        "SecurityHeaders", "dress", "_network", "preflight", "_strip", "BasicAuth", "Tokens", "ForwardAuth",
    ]  # fmt: skip


async def test_all_must_be_satisfied(edge: Edge) -> None:
    (edge.folder / "key").write_text("x" * 40)
    await edge.start(f'[sites."*"]\nrespond = "x"\n{USERS}\njwt = {{ keys = "key", header = "X-Token" }}\n')
    client = await edge.client()
    assert (await client.ask("/", LOGIN)).status == 401
    assert (await client.ask("/", "X-Token: x")).status == 401
    assert basic_auth.AUTHORIZATION


@pytest.mark.parametrize("more", ["", USERS])
async def test_the_body_limit_of_a_route_holds(edge: Edge, more: str) -> None:
    """Announced or in chunks, and also while the request waits for a decision."""
    backend = await edge.backend()
    site = f'[sites."*"]\nproxy = "{backend.address}"\n{more}\nbody_limit = 10\n'
    await edge.start(site + '[[sites."*".routes]]\npath = "/large"\nproxy = "' + backend.address + '"\nbody_limit = "none"\n')
    small, large = b"x" * 10, b"x" * 11

    async def send(target: str, body: bytes, chunked: bool) -> int:
        client = await edge.client()
        if chunked:
            head = get(target, LOGIN, "Transfer-Encoding: chunked", method="POST")
            client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            client.send(get(target, LOGIN, method="POST", body=body))
        return (await client.answer()).status

    for chunked in (False, True):
        assert await send("/", small, chunked) == 200
        assert await send("/", large, chunked) == 413
        assert await send("/large", large * 1000, chunked) == 200
    assert {len(request.body) for request in backend.requests if len(request.body) <= 11} <= {0, 10}


def test_nothing_is_asked_for_nothing_is_done() -> None:
    plan: guard.AccessPlan = {
        "networks": None, "satisfy": "all", "basic_auth": None, "forward_auth": None, "jwt": None, "cors": None,
        "security_headers": None,
    }  # fmt: skip
    assert (guard.steps(plan), guard.dressing(plan)) == ([], [])
