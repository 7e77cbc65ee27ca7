"""From the keys about access to a plan: inheritance, short forms, words, and files that are looked at before they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gapura.config.load import load
from gapura.errors import ConfigError

Configure = Callable[..., str]
SHA = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="
SITE = '[sites."a.example"]\nrespond = "x"\n'


def plan(file: str, route: int = 0) -> Any:
    return load(file)["sites"][0]["routes"][route]["access"]


def problems(file: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [problem.message for problem in caught.value.problems]


def test_a_plain_route_has_none(configure: Configure) -> None:
    assert plan(configure(SITE)) is None
    assert plan(configure(SITE + "basic_auth = false\njwt = false\ncors = false\nforward_auth = false\n")) is None
    assert plan(configure(SITE + 'allow = "all"\n')) is None
    assert plan(configure(SITE + "deny = []\n")) is None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('allow = "10.0.0.0/8"', (["10.0.0.0/8"], [])),
        ('allow = ["10.1.2.3/8", "::1"]', (["10.0.0.0/8", "::1/128"], [])),
        ('deny = "1.2.3.4"', ([], ["1.2.3.4/32"])),
        ('allow = "::ffff:10.0.0.0/104"', (["10.0.0.0/8"], [])),
        ('allow = "all"\ndeny = "1.2.3.4"', (["0.0.0.0/0", "::/0"], ["1.2.3.4/32"])),
        ("allow = []", ([], ["0.0.0.0/0", "::/0"])),
        (
            'allow = "private"',
            (["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"], []),
        ),
    ],
)
def test_networks(configure: Configure, keys: str, expected: tuple[list[str], list[str]]) -> None:
    found = plan(configure(SITE + keys + "\n"))["networks"]
    assert (found["allow"], found["deny"]) == expected


def test_a_route_inherits_key_by_key(configure: Configure) -> None:
    text = (
        f'{SITE}allow = "private"\ncors = true\nbasic_auth = {{ users = {{ a = "{SHA}" }} }}\n'
        '[[sites."a.example".routes]]\npath = "/open"\nrespond = "y"\nallow = "all"\nbasic_auth = false\n'
        '[[sites."a.example".routes]]\npath = "/b"\nrespond = "y"\ncors = { origins = "https://b.example" }\n'
    )
    file = configure(text)
    first, second, whole = (plan(file, number) for number in range(3))
    assert (first["networks"], first["basic_auth"], first["cors"]["origins"]) == (None, None, ["*"])
    assert second["cors"]["origins"] == ["https://b.example"]
    assert second["basic_auth"] == whole["basic_auth"]
    assert second["networks"] == whole["networks"]


def test_basic_auth(configure: Configure, tmp_path: Path) -> None:
    file = configure(SITE + 'basic_auth = "people"\n', people=f"alice:{SHA}\n")
    assert plan(file)["basic_auth"] == {"file": str(tmp_path / "people"), "users": {}, "realm": "Restricted", "forward": True}


def test_mistakes_in_a_file_of_passwords_are_told_where_they_are(configure: Configure, tmp_path: Path) -> None:
    file = configure(SITE + 'basic_auth = "people"\n', people=f"alice:{SHA}\nbob:secret\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == (str(tmp_path / "people"), 2)
    assert "plain text" in problem.message
    assert "secret" not in problem.render()


@pytest.mark.parametrize(
    ("to", "host", "upstream"),
    [
        ("auth", "", "auth"),
        ("localhost:9000", "", "localhost:9000"),
        ("http://127.0.0.1:9000", "", "127.0.0.1:9000"),
        ("http://auth.example.com:9000", "auth.example.com:9000", "auth.example.com:9000"),
    ],
)
def test_forward_auth(configure: Configure, to: str, host: str, upstream: str) -> None:
    text = f'[upstreams.auth]\nservers = "127.0.0.1:9000"\n{SITE}forward_auth = {{ to = "{to}", headers = "Remote-User" }}\n'
    file = configure(text)
    found = plan(file)["forward_auth"]
    assert (found["upstream"], found["host"], found["path"], found["headers"]) == (upstream, host, "/", ["Remote-User"])
    assert upstream in load(file)["upstreams"]


def test_whoever_asks_himself_asks_for_ever(configure: Configure) -> None:
    text = f'[edge]\nhttp = "127.0.0.1:8431"\n{SITE}forward_auth = {{ to = "127.0.0.1:8431" }}\n'
    assert problems(configure(text)) == ["127.0.0.1:8431 is Gapura itself: requests would go round in circles"]
    load(configure(text.replace("to =", 'host = "login.example", to =')))  # another site may decide


PUBLIC = "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ('{ keys = "key" }', "short\n", "the secret has 5 bytes: it could be found by trying"),
        ('{ keys = "key" }', "-----BEGIN PRIVATE KEY-----\nx\n", "is a private key"),
        ('{ keys = "key", algorithms = "HS256" }', PUBLIC, "HS algorithms go with a secret, and this is a public key"),
        ('{ keys = "key", algorithms = "RS256" }', "x" * 40, "RS256 goes with a public key (PEM), and this is none"),
        ('{ keys = "none" }', "", "there is no file"),
        ('{ jwks = "key" }', "{}", "is not a set of keys (RFC 7517)"),
        ('{ jwks = "key" }', '{"keys": [{}]}', "is not a set of keys (RFC 7517)"),
        ('{ jwks = "http://keys.example/x" }', "", "keys that come over plain HTTP can be exchanged on their way"),
        ('{ jwks = "ftp://keys.example/x" }', "", "jwks is neither a file nor a URL"),
        ('{ jwks = "https://user@keys.example/x" }', "", "jwks is neither a file nor a URL"),
        ('{ keys = "key", jwks = "key" }', "", "jwt has both keys and jwks"),
        ("{ }", "", "jwt has no key"),
        ("true", "", "jwt has no key"),
    ],
)
def test_keys_that_cannot_be_used(configure: Configure, table: str, content: str, message: str) -> None:
    [found] = problems(configure(SITE + f"jwt = {table}\n", key=content))
    assert message in found


def test_jwt(configure: Configure, tmp_path: Path) -> None:
    keys = '"https://a.example/keys"'
    table = f'{{ jwks = {keys}, issuer = "https://a.example", claims = {{ role = "admin" }}, headers = {{ X-User = "sub" }} }}'
    found = plan(configure(SITE + f"jwt = {table}\n"))["jwt"]
    assert (found["jwks"], found["issuer"], found["claims"]) == (
        "https://a.example/keys",
        ["https://a.example"],
        {"role": ["admin"]},
    )
    found = plan(configure(SITE + 'jwt = { jwks = "keys" }\n', keys=json.dumps({"keys": [{"kty": "RSA"}]})))["jwt"]
    assert found["jwks"] == str(tmp_path / "keys")
