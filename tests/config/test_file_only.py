"""What a Gapura that runs as root takes from its files only: a table of what somebody with only the API would like to say."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest

from gapura.config.file_only import fresh_files, refused
from gapura.config.load import load

Configure = Callable[..., str]
FILE = """
[edge]
http = [80, 8080]
access_log = "access.log"
error_pages = { 404 = "404.html" }

[edge.acme]
dns = { exec = "/usr/local/bin/set-dns" }

[apps.web]
command = "npm start"
directory = "."
env = { MODE = "production" }
env_file = ".env"
instances = 2

[upstreams.api]
servers = ["10.0.0.1:80", "unix:/run/api.sock"]
tls = { ca = "ca.pem", server_name = "api" }

[sites."a.b"]
access_log = "a.log"
tls = { certificate = "a.pem", key = "a.key", client_ca = "clients.pem" }
[[sites."a.b".routes]]
path = "/"
proxy = "web"
basic_auth = "htpasswd"
[[sites."a.b".routes]]
path = "/files/"
files = "public"

[sites."c.d"]
proxy = "api"
jwt = { keys = "secret" }

[events]
on_event = "notify"
webhooks = [{ url = "https://hooks.example/x", secret_file = "hook.key" }]
"""
FILES = {
    "404.html": "not here",
    ".env": "SECRET=1\n",
    "ca.pem": "",
    "a.pem": "",
    "a.key": "",
    "clients.pem": "",
    "secret": "0123456789abcdef0123456789abcdef",
    "hook.key": "0123456789abcdef",
    "htpasswd": "bob:$2y$05$aaaaaaaaaaaaaaaaaaaaaeS7p8WbcDfgq8u6mDZKf.0nLOoNRpVkK\n",
    "other": "0123456789abcdef0123456789abcdef",
    "other.html": "x",
}
REFUSED = [
    # to execute something, or as somebody else
    ('command = "npm start"', 'command = "nc -e /bin/sh"', ("apps", "web", "command")),
    ('directory = "."', 'directory = "/tmp"', ("apps", "web", "directory")),
    ('MODE = "production"', 'LD_PRELOAD = "/tmp/x.so"', ("apps", "web", "env")),
    ("instances = 2", 'instances = 2\nuser = "root"', ("apps", "web", "user")),
    ("[upstreams.api]", '[apps.more]\ncommand = "x"\n[upstreams.api]', ("apps", "more")),
    ("/usr/local/bin/set-dns", "/tmp/x", ("edge", "acme", "dns", "exec")),
    ('on_event = "notify"', 'on_event = "sh -c x"', ("events", "on_event")),
    # to have root read, make or hand out a file
    ('access_log = "access.log"', 'access_log = "/etc/cron.d/x"', ("edge", "access_log")),
    ('access_log = "a.log"', 'access_log = "/etc/passwd"', ("edge", "access_log")),
    ('access_log = "access.log"', 'access_log = "access.log"\nerror_log = "/root/.profile"', ("edge", "error_log")),
    ('certificate = "a.pem"', 'certificate = "a.key"', ("sites", "a.b", "tls", "certificate")),
    ('key = "a.key"', 'key = "/etc/shadow"', ("sites", "a.b", "tls", "key")),
    ('client_ca = "clients.pem"', 'client_ca = "/etc/shadow"', ("sites", "a.b", "tls", "client_ca")),
    ('ca = "ca.pem"', 'ca = "/etc/shadow"', ("upstreams", "api", "tls", "ca")),
    ('server_name = "api"', 'server_name = "api", certificate = "/x", key = "/etc/shadow"', ("upstreams", "api", "tls", "key")),
    ('keys = "secret"', 'keys = "other"', ("sites", "c.d", "jwt")),
    ("hooks.example/x", "10.0.0.9/x", ("events", "webhooks", 0)),
    ("hook.key", "other", ("events", "webhooks", 0)),
    ('on_event = "notify"', 'log = "/etc/x"', ("events", "log")),
    # to show visitors what nobody meant to show
    ('files = "public"', 'files = "/"', ("sites", "a.b", "files")),
    ('404 = "404.html"', '404 = "other.html"', ("edge", "error_pages")),
    ("unix:/run/api.sock", "unix:/run/docker.sock", ("upstreams", "api", "servers")),
    ('proxy = "api"', 'proxy = "unix:/run/docker.sock"', ("upstreams", "unix:/run/docker.sock", "servers")),
    ('[sites."c.d"]', '[sites."e.f"]\ndashboard = true\n[sites."c.d"]', ("sites", "e.f")),
    # to take a port that only root gives, and to stay
    ("http = [80, 8080]", "http = [80, 8080, 25]", ("edge", "http")),
    ("[events]", '[admin]\nloopback = "full"\n[events]', ("admin",)),
]
ALLOWED = [
    ("instances = 2", "instances = 5"),
    ("instances = 2", "instances = 2\nmax_memory = 1000000"),
    ('"10.0.0.1:80"', '{ address = "10.0.0.1:80", weight = 3 }, "10.0.0.2:80"'),
    ('"10.0.0.1:80"', '"app.internal:80"'),
    ("http = [80, 8080]", "http = [80, 8443]"),
    ("http = [80, 8080]", "http = 8080"),
    ("http = [80, 8080]", 'http = ["127.0.0.1:80", 8080]'),
    ('[sites."c.d"]', '[sites."e.f"]\nredirect = "https://a.b/"\n[sites."c.d"]'),
    ('path = "/files/"\nfiles = "public"', 'path = "/x/"\nfiles = "public"'),
    ('basic_auth = "htpasswd"', 'limit = "5/s"'),
    ('[events]\non_event = "notify"', '[events]\non_event = { command = "notify", only = ["app.crashed"] }'),
    ("[apps.web]", '[edge.limits]\nbody = "5M"\n[apps.web]'),
]


def write(configure: Configure, old: str = "", new: str = "") -> str:
    assert old in FILE
    return configure(FILE.replace(old, new) if old else FILE, **FILES)


@pytest.mark.parametrize(("old", "new", "place"), REFUSED)
def test_what_is_refused(configure: Configure, old: str, new: str, place: tuple[str, ...]) -> None:
    before = load(write(configure))
    found = refused(before, load(write(configure, old, new)))
    assert place in [item.path for item in found]
    assert refused(load(write(configure, old, new)), before) is not None, "and the way back can be asked, too"


@pytest.mark.parametrize(("old", "new"), ALLOWED)
def test_what_is_not(configure: Configure, old: str, new: str) -> None:
    assert refused(load(write(configure)), load(write(configure, old, new))) == []


def test_the_same_file_and_less_of_it(configure: Configure) -> None:
    whole = load(write(configure))
    assert refused(whole, whole) == []
    less = load(configure('[sites."a.b"]\nrespond = "x"\n[edge]\nhttp = 8080\n'))
    assert refused(whole, less) == []
    assert refused(less, whole)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('env_file = ".env"', 'env_file = "/etc/shadow"'),
        ('env_file = ".env"', 'env_file = [".env", "/etc/shadow"]'),
        ('keys = "secret"', 'keys = "/etc/shadow"'),
        ('keys = "secret"', 'jwks = "/etc/shadow"'),
        ('basic_auth = "htpasswd"', 'basic_auth = "/etc/shadow"'),
        ('basic_auth = "htpasswd"', 'basic_auth = { file = "/etc/shadow" }'),
        ('certificate = "a.pem"', 'certificate = "/etc/shadow"'),
        ('key = "a.key"', 'key = "/etc/shadow"'),
        ('client_ca = "clients.pem"', 'client_ca = "/etc/shadow"'),
        ('ca = "ca.pem"', 'ca = "/etc/shadow"'),
        ("hook.key", "/etc/shadow"),
        ('404 = "404.html"', '404 = "/etc/shadow"'),
        ("[edge]", '[edge]\nuser = "root"'),
        ("[edge.acme]", '[edge.acme]\nca = "/etc/shadow"'),
    ],
)
def test_a_file_is_refused_before_anybody_reads_it(old: str, new: str) -> None:
    assert old in FILE
    before = tomllib.loads(FILE)
    assert fresh_files(before, tomllib.loads(FILE.replace(old, new)))
    assert fresh_files(before, before) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[upstreams.api]", '[upstreams.more]\npolicy = "hash"\nkey = "$uri"\nservers = ["10.0.0.3"]\n[upstreams.api]'),
        ('jwt = { keys = "secret" }', ""),
        ('basic_auth = "htpasswd"', "basic_auth = false"),
        ('basic_auth = "htpasswd"', 'basic_auth = { users = { bob = "x" } }'),
    ],
)
def test_what_is_no_file_is_none(old: str, new: str) -> None:
    assert fresh_files(tomllib.loads(FILE), tomllib.loads(FILE.replace(old, new))) == []


@pytest.mark.parametrize("data", [{}, {"edge": 5}, {"apps": []}, {"edge": {"user": 3}}, {"sites": {"a": [[{"file": 1}]]}}])
def test_tables_that_are_none_do_no_harm(data: dict[str, object]) -> None:
    assert isinstance(fresh_files(tomllib.loads(FILE), data), list)
