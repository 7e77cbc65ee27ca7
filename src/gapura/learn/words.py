"""The words of drawings, reports and pages, in English and Indonesian."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "id")

WORDS: Final[dict[str, tuple[str, str]]] = {
    # the chain
    "visitors": ("visitors", "pengunjung"),
    "site": ("site", "situs"),
    "policy": ("policy", "kebijakan"),
    "server": ("server", "server"),
    "servers": ("servers", "server"),
    "share": ("share", "bagian"),
    "weight": ("weight", "bobot"),
    "backup": ("backup", "cadangan"),
    # a simulation
    "errors": ("errors", "galat"),
    "retried": ("retried", "diulang"),
    "requests": ("requests", "permintaan"),
    "slower": ("{0:g}x slower", "{0:g}x lebih lambat"),
    "dies": ("dies at {0:g} s", "mati pada detik {0:g}"),
    "hangs": ("hangs at {0:g} s", "hang pada detik {0:g}"),
    "dead": ("dead {0:g}-{1:g} s", "mati detik {0:g}-{1:g}"),
    "hung": ("hung {0:g}-{1:g} s", "hang detik {0:g}-{1:g}"),
    "summary": (
        "{0} requests at {1:g}/s to {2} servers; a request takes a server {3:g} ms on average; seed {4}",
        "{0} permintaan, {1:g}/detik, ke {2} server; satu permintaan rata-rata memakan {3:g} ms; seed {4}",
    ),
    "legend": (
        "p50, p99: half, and 99 of 100 visitors, had their answer within this time. retried: a server failed, another answered.",
        "p50, p99: separuh, dan 99 dari 100 pengunjung, dijawab dalam waktu ini. diulang: satu server gagal, server lain menjawab.",
    ),
    "chart": ("Balancing policies compared", "Perbandingan kebijakan penyeimbangan beban"),
    # a drawing
    "files": ("files", "berkas"),
    "redirect": ("redirect", "pengalihan"),
    "respond": ("fixed answer", "jawaban tetap"),
    "app": ("app, kept running by Gapura", "aplikasi yang dijaga Gapura"),
    "closed": ("in maintenance", "dalam pemeliharaan"),
    "drawing": ("How this Gapura answers", "Bagaimana Gapura ini menjawab"),
    "encrypted": ("HTTPS", "HTTPS"),
    "up": ("up", "aktif"),
    "down": ("down", "mati"),
    "benched": ("paused after failures", "dijeda setelah gagal"),
    "unhealthy": ("does not answer checks", "tidak menjawab pemeriksaan"),
    "draining": ("draining", "dikuras"),
    "disabled": ("disabled", "dinonaktifkan"),
}


def say(language: str, word: str, *values: object) -> str:
    """A word or sentence in this language. Raises KeyError for one that is not in the table."""
    return WORDS[word][LANGUAGES.index(language)].format(*values)


def language_of(environ: Mapping[str, str] | None = None) -> str:
    """The language of a person with these variables of locale(7), as gettext reads them: "en" or "id"."""
    environ = os.environ if environ is None else environ
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for value in environ.get(name, "").split(":"):
            if value[:2].lower() == "id" and not value[2:3].isalpha():
                return "id"
            if value:
                return "en"
    return "en"
