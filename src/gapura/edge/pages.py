"""Pages that Gapura answers with itself: what happened, in English or Indonesian, as HTML for browsers and as text for tools.

Each page is complete in one file, needs nothing else, and says what to do next.
"""

from __future__ import annotations

from html import escape
from typing import Final

from gapura.edge.weights import weights
from gapura.wire.headers import find
from gapura.wire.request import RequestHead

REASONS: Final = {
    200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    416: "Range Not Satisfiable", 417: "Expectation Failed",
    421: "Misdirected Request", 429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}  # fmt: skip

_TITLES: Final = {
    "en": {
        401: "Please log in",
        403: "This is not for everybody",
        404: "Nothing is here",
        421: "No site of this name lives here",
        429: "That was too often",
        502: "The application broke off its answer",
        503: "The application is not answering right now",
        504: "The application took too long",
    },
    "id": {
        400: "Permintaan tidak dapat dibaca",
        401: "Silakan masuk",
        403: "Ini bukan untuk semua orang",
        404: "Tidak ada apa-apa di sini",
        405: "Cara ini tidak diizinkan di sini",
        413: "Kiriman terlalu besar",
        421: "Tidak ada situs dengan nama ini di sini",
        429: "Itu terlalu sering",
        502: "Aplikasi memutus jawabannya",
        503: "Aplikasi sedang tidak menjawab",
        504: "Aplikasi terlalu lama menjawab",
    },
}

_WORDS: Final = {
    "en": {
        "retry": "This page tries again by itself in {time}.",
        "again": "Try again in {time}.",
        "id": "Request",
        "since": "This has been so for {time}.",
        "starting": "The application is starting.",
        "backoff": "The application has ended unexpectedly and is being started again.",
        "crashed": "The application keeps ending right after its start; it needs its operator.",
        "stopped": "The application was stopped by its operator.",
        "stopping": "The application is being stopped.",
        "benched": "Its servers failed a moment ago and are being tried again.",
        "unhealthy": "Its servers do not answer the health checks.",
        "full": "All of its servers are busy.",
        "disabled": "All of its servers were taken out by the operator.",
        "draining": "All of its servers were taken out by the operator.",
        "down": "All of its servers are marked as down.",
        "refused": "Its servers refuse connections.",
        "broken": "The server behind closed the connection before it answered.",
        "invalid": "The server behind sent an answer that is not valid HTTP.",
        "late": "The server behind did not answer in time.",
        "untrusted": "The server behind could not prove over TLS that it is the right one.",
        "unresolved": "The name of the server behind cannot be resolved.",
        "queue": "Too many visitors are waiting already.",
        "often": "More requests came than are allowed here.",
        "many": "Too many requests are under way at the same time.",
        "unknown": "The name {name} is not configured here.",
        "reading": "Files can be read here, with GET or HEAD.",
        "nowhere": "There is no page at this address.",
        "method": "This address takes other methods: {methods}.",
        "network": "Your address is not among those that may come in.",
        "dashboard": "This page is for the machine itself only; `gapura dashboard` there tells the way from elsewhere.",
        "password": "A name and a password are needed.",
        "token": "A valid token is needed.",
        "claims": "Your token does not let you in here.",
        "decider": "The server that decides about access does not answer.",
        "attempts": "Too many passwords are being checked. Try again in a moment.",
        "forbidden": "This may not be read.",
        "changed": "It is not, or no longer, what the condition of the request names.",
        "range": "It has {size} bytes, and none of the requested range.",
        "files": "Too many files are open at the moment.",
        "maintenance_title": "Back soon",
        "maintenance": "This site is being worked on and will be back soon.",
        "failed": "Something went wrong here; the log tells what.",
        "large": "The request body is larger than the {limit} bytes allowed here.",
    },
    "id": {
        "retry": "Halaman ini mencoba lagi sendiri dalam {time}.",
        "again": "Coba lagi dalam {time}.",
        "id": "Permintaan",
        "since": "Ini sudah berlangsung {time}.",
        "starting": "Aplikasi sedang dinyalakan.",
        "backoff": "Aplikasi berhenti mendadak dan sedang dinyalakan lagi.",
        "crashed": "Aplikasi selalu berhenti setelah dinyalakan; pengelolanya perlu memeriksa.",
        "stopped": "Aplikasi dihentikan oleh pengelolanya.",
        "stopping": "Aplikasi sedang dihentikan.",
        "benched": "Server-servernya baru saja gagal dan sedang dicoba lagi.",
        "unhealthy": "Server-servernya tidak menjawab pemeriksaan kesehatan.",
        "full": "Semua servernya sedang sibuk.",
        "disabled": "Semua servernya dikeluarkan oleh pengelola.",
        "draining": "Semua servernya dikeluarkan oleh pengelola.",
        "down": "Semua servernya ditandai mati.",
        "refused": "Server-servernya menolak sambungan.",
        "broken": "Server di belakang memutus sambungan sebelum menjawab.",
        "invalid": "Server di belakang mengirim jawaban yang bukan HTTP yang sah.",
        "late": "Server di belakang tidak menjawab pada waktunya.",
        "untrusted": "Server di belakang tidak dapat membuktikan lewat TLS bahwa ia server yang benar.",
        "unresolved": "Nama server di belakang tidak dapat ditemukan.",
        "queue": "Sudah terlalu banyak pengunjung yang menunggu.",
        "often": "Permintaan datang lebih banyak dari yang diizinkan di sini.",
        "many": "Terlalu banyak permintaan yang berjalan bersamaan.",
        "unknown": "Nama {name} tidak dikonfigurasi di sini.",
        "reading": "Berkas di sini hanya dapat dibaca, dengan GET atau HEAD.",
        "nowhere": "Tidak ada halaman di alamat ini.",
        "method": "Alamat ini menerima metode lain: {methods}.",
        "network": "Alamat Anda tidak termasuk yang boleh masuk.",
        "dashboard": "Halaman ini hanya untuk mesin itu sendiri; `gapura dashboard` di sana memberi tahu jalan dari luar.",
        "password": "Nama dan kata sandi diperlukan.",
        "token": "Token yang sah diperlukan.",
        "claims": "Token Anda tidak mengizinkan masuk ke sini.",
        "decider": "Server yang memutuskan izin masuk tidak menjawab.",
        "attempts": "Terlalu banyak kata sandi sedang diperiksa. Coba lagi sebentar.",
        "forbidden": "Ini tidak boleh dibaca.",
        "changed": "Isinya bukan, atau bukan lagi, yang disebut dalam syarat permintaan.",
        "range": "Isinya {size} bita, dan tidak ada yang termasuk rentang yang diminta.",
        "files": "Terlalu banyak berkas yang sedang dibuka.",
        "maintenance_title": "Segera kembali",
        "maintenance": "Situs ini sedang dirawat dan akan segera kembali.",
        "failed": "Ada yang salah di sini; log menyebutkan apa.",
        "large": "Isi permintaan lebih besar dari {limit} bita yang diizinkan di sini.",
    },
}

_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:36rem;margin:18vh auto 0;padding:0 1.5rem}"
    "h1{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}p{margin:.4rem 0}.code{font-size:.8rem;letter-spacing:.06em;opacity:.7}"
    "small{opacity:.7}code{font-size:.85em}"
)

_HTML: Final = (
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{refresh}'
    "<title>{title}</title><style>{style}</style></head><body><main>"
    '<p class="code">{status}</p><h1>{title}</h1><p>{reason}</p>{wait}{foot}</main></body></html>\n'
)

RETRY_AFTER: Final = 2
"""Seconds until a page that will get better is asked for again."""


def language(head: RequestHead | None) -> str:
    """ "id" when Accept-Language prefers Indonesian to English, else "en" (RFC 9110 §12.5.4, q-values respected)."""
    accepted = find(head.lines, b"accept-language") if head else None
    best, choice = 0, "en"
    for tag, weight in weights(accepted or b"").items():
        name = tag.partition(b"-")[0]
        if weight > best and name in (b"id", b"in", b"ms", b"en"):
            best, choice = weight, "en" if name == b"en" else "id"
    return choice


def sentence(lang: str, key: str, seconds: int = 0, /, **words: object) -> str:
    """A sentence of the given kind with its `words` in it; unknown kinds give an empty one."""
    return _WORDS[lang].get(key, "").format(time=_duration(lang, seconds), **words)


def _duration(lang: str, seconds: int) -> str:
    second, minute, hour = ("detik", "menit", "jam") if lang == "id" else ("s", "min", "h")
    if seconds < 120:
        return f"{seconds} {second}"
    return f"{seconds // 60} {minute}" if seconds < 7200 else f"{seconds // 3600} {hour}"


def render(
    status: int,
    head: RequestHead | None,
    reason: str,
    request_id: str = "",
    retry: bool = False,
    after: int = RETRY_AFTER,
    title: str = "",
    look: int = RETRY_AFTER,
) -> tuple[bytes, list[bytes]]:
    """(body, header lines) of an error page. `reason` says more; where it can, it is in the reader's language already.

    With `retry` clients are told to ask again `after` so many seconds; an open page does by itself after `look`, if that is less.
    """
    lang = language(head)
    title = title or _TITLES[lang].get(status) or _TITLES["en"].get(status) or REASONS.get(status, "Error")
    lines = [b"Cache-Control: no-store", b"Vary: Accept, Accept-Language"]
    if retry:
        lines.append(b"Retry-After: %d" % after)
    accept = (find(head.lines, b"accept") if head else None) or b""
    page = b"text/html" in accept
    soon = min(after, look)
    wait = sentence(lang, "retry", soon) if retry and page else sentence(lang, "again", after) if retry else ""
    if not page:
        text = " ".join(part for part in (f"{status} {title}.", reason, wait, f"({request_id})" if request_id else "") if part)
        return text.encode() + b"\n", [b"Content-Type: text/plain; charset=utf-8", *lines]
    refresh = f'<meta http-equiv="refresh" content="{soon}">' if retry else ""
    foot = f"<p><small>{sentence(lang, 'id')} <code>{escape(request_id)}</code></small></p>" if request_id else ""
    body = _HTML.format(
        lang=lang, refresh=refresh, style=_STYLE, status=status, title=escape(title), reason=escape(reason),
        wait=f"<p>{wait}</p>" if wait else "", foot=foot,
    )  # fmt: skip
    return body.encode(), [b"Content-Type: text/html; charset=utf-8", *lines]
