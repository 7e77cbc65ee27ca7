from __future__ import annotations

from collections.abc import Callable

import pytest

from gapura.config.check import check
from gapura.config.load import examine, load
from gapura.config.plan_acme import LETS_ENCRYPT, default
from gapura.errors import ConfigError

SITE = '[sites."a.localhost"]\nrespond = "hello"\n'
Configure = Callable[..., str]


def test_nothing_said_is_nothing_in_the_plan(configure: Configure) -> None:
    assert load(configure(SITE))["edge"]["acme"] is None


def test_an_empty_table_is_what_holds_without_it(configure: Configure) -> None:
    assert load(configure("[edge.acme]\n" + SITE))["edge"]["acme"] == default()
    assert default()["directories"] == [{"url": LETS_ENCRYPT, "key_id": "", "key_file": ""}]


def test_everything(configure: Configure) -> None:
    file = configure(
        """
        [edge.acme]
        email = "me@example.com"
        key = "rsa"
        ca = "ca.pem"
        renew_before = "20d"
        directories = [
          "letsencrypt-staging",
          { url = "zerossl", external_account = { key_id = "abc", key_file = "/etc/eab" } },
          "https://ca.internal:9000/acme/acme/directory",
        ]
        [edge.acme.dns.rfc2136]
        server = "[2001:db8::53]:5353"
        key_name = "gapura."
        key_file = "secrets/tsig"
        algorithm = "hmac-sha512"
        zone = "Example.COM"
        """
        + SITE
    )
    folder = file.rpartition("/")[0]
    acme = load(file)["edge"]["acme"]
    assert acme is not None
    assert [item["url"] for item in acme["directories"]] == [
        "https://acme-staging-v02.api.letsencrypt.org/directory",
        "https://acme.zerossl.com/v2/DV90",
        "https://ca.internal:9000/acme/acme/directory",
    ]
    assert acme["directories"][1]["key_file"] == "/etc/eab"
    assert (acme["email"], acme["key"], acme["ca"], acme["exec"]) == ("me@example.com", "rsa", f"{folder}/ca.pem", "")
    assert acme["renew_before"] == 20 * 86400.0
    assert acme["update"] == {
        "server": "2001:db8::53",
        "port": 5353,
        "zone": "example.com",
        "key_name": "gapura.",
        "key_file": f"{folder}/secrets/tsig",
        "algorithm": "hmac-sha512",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ('email = "me"', '"me" is not an e-mail address'),
        ('directories = "letsencrpt"', 'there is no certificate authority "letsencrpt"'),
        ('directories = "http://ca.internal/dir"', "a directory is asked over https only (RFC 8555 §6.1)"),
        ('directories = "zerossl"', "zerossl gives certificates only to accounts that were made there by hand"),
        ("directories = []", "directories must not be empty"),
        ('key = "ed25519"', 'there is no kind of key "ed25519"'),
        ('renew_before = "0s"', "renew_before must be longer than 0"),
        ("dns = {}", "dns says nothing"),
        ('dns = { exec = " " }', "exec must be a command"),
        ('dns = { exec = "a", rfc2136 = { server = "a", key_name = "b", key_file = "c" } }', "dns has both exec and rfc2136"),
        ('dns = { rfc2136 = { server = "a", key_name = "b" } }', "has no key_file"),
        ('dns = { rfc2136 = { server = "a:0", key_name = "b", key_file = "c" } }', '"0" is not a port'),
        ('dns = { rfc2136 = { server = "a b", key_name = "b", key_file = "c" } }', '"a b" is not a host name'),
        ('dns = { rfc2136 = { server = "a", key_name = "b", key_file = "c", zone = "-" } }', '"-" is not a host name'),
        ('dns = { rfc2136 = { server = "a", key_name = "b", key_file = "c", algorithm = "md5" } }', 'there is no algorithm "md5"'),
        ('mail = "me@example.com"', 'there is no key "mail" in [edge.acme]'),
    ],
)
def test_what_is_wrong_is_told_with_its_place(configure: Configure, words: str, message: str) -> None:
    file = configure("[edge.acme]\n" + words + "\n" + SITE)
    with pytest.raises(ConfigError) as caught:
        load(file)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.line == 2


def test_a_wildcard_without_dns_is_warned_of(configure: Configure) -> None:
    site = '[sites."*.alvin.xyz"]\nrespond = "hello"\ntls = "auto"\n'
    (warning,) = examine(configure(site)).warnings
    assert warning.message.startswith("*.alvin.xyz gets a certificate of the local CA only")
    assert warning.line == 1
    dns = '[edge.acme]\ndns = { exec = "hook" }\n'
    for enough in (dns + site, site.replace("auto", "local"), site.replace("alvin.xyz", "test")):
        assert examine(configure(enough)).warnings == []


def test_local_is_for_any_name_but_not_beside_files(configure: Configure) -> None:
    plan = load(configure('[sites."alvin.xyz"]\nrespond = "hello"\ntls = "local"\n'))
    tls = plan["sites"][0]["tls"]
    assert tls is not None
    assert (tls["auto"], tls["local"], tls["names"]) == (True, True, ["alvin.xyz"])
    with pytest.raises(ConfigError) as caught:
        load(configure('[sites."alvin.xyz"]\nrespond = "hello"\ntls = { local = true, certificate = "a.pem" }\n'))
    assert [problem.message for problem in caught.value.problems] == ["local, and a certificate of your own"]


def test_check_looks_for_the_files(configure: Configure) -> None:
    acme = '[edge.acme]\nca = "none.pem"\ndns = { rfc2136 = { server = "127.0.0.1", key_name = "k", key_file = "none.key" } }\n'
    file = configure(acme + SITE)
    told = [problem for problem in check(load(file), file) if "there is no file" in problem.message]
    assert [(problem.line, problem.message.rpartition("/")[2]) for problem in told] == [(2, "none.pem"), (3, "none.key")]
