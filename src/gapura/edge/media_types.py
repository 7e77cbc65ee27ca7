"""Media types after the ending of a file's name: a table of our own, so that every machine answers the same."""

from __future__ import annotations

from typing import Final

DEFAULT: Final = b"application/octet-stream"
_TABLE: Final = """
text/html html htm shtml
text/css css
text/javascript js mjs cjs
text/plain txt text log conf ini cfg asc diff patch
text/csv csv
text/tab-separated-values tsv
text/markdown md markdown
text/calendar ics
text/vcard vcf vcard
text/vtt vtt
text/xml xml xsl xsd
application/json json map
application/ld+json jsonld
application/geo+json geojson
application/manifest+json webmanifest
application/xhtml+xml xhtml
application/rss+xml rss
application/atom+xml atom
application/gpx+xml gpx
application/wasm wasm
application/pdf pdf
application/rtf rtf
application/epub+zip epub
application/msword doc
application/vnd.ms-excel xls
application/vnd.ms-powerpoint ppt
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.oasis.opendocument.text odt
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.presentation odp
application/vnd.google-earth.kml+xml kml
application/vnd.apple.mpegurl m3u8
application/dash+xml mpd
application/vnd.sqlite3 sqlite sqlite3
application/vnd.android.package-archive apk
application/vnd.debian.binary-package deb
application/x-rpm rpm
application/java-archive jar war ear
application/zip zip
application/gzip gz tgz
application/zstd zst
application/x-bzip2 bz2
application/x-xz xz
application/x-7z-compressed 7z
application/vnd.rar rar
application/x-tar tar
application/x-iso9660-image iso
application/yaml yaml yml
application/toml toml
application/sql sql
application/x-x509-ca-cert pem crt der
application/postscript ps eps ai
image/png png
image/apng apng
image/jpeg jpg jpeg
image/gif gif
image/webp webp
image/avif avif
image/jxl jxl
image/heic heic
image/svg+xml svg
image/x-icon ico cur
image/bmp bmp
image/tiff tif tiff
font/woff2 woff2
font/woff woff
font/ttf ttf
font/otf otf
font/collection ttc
application/vnd.ms-fontobject eot
audio/mpeg mp3
audio/mp4 m4a
audio/aac aac
audio/flac flac
audio/ogg oga ogg opus
audio/wav wav
audio/webm weba
audio/midi mid midi
video/mp4 mp4 m4v
video/webm webm
video/ogg ogv
video/quicktime mov
video/mp2t ts m2ts
video/x-msvideo avi
video/x-matroska mkv
video/mpeg mpeg mpg
video/3gpp 3gp
model/gltf-binary glb
model/gltf+json gltf
"""
_TEXTS: Final = frozenset(
    (
        *("application/json", "application/ld+json", "application/geo+json", "application/manifest+json"),
        *("application/xhtml+xml", "application/rss+xml", "application/atom+xml", "application/gpx+xml", "image/svg+xml"),
        *("application/dash+xml", "application/vnd.google-earth.kml+xml", "application/yaml"),
        *("application/toml", "application/sql"),
    )
)
"""Types beside text/* that are text, and that browsers want to know the characters of."""


def _with_charset(kind: str) -> bytes:
    text = kind.startswith("text/") or kind in _TEXTS
    return f"{kind}; charset=utf-8".encode() if text else kind.encode()


TYPES: Final = {
    ending.encode(): _with_charset(kind) for kind, *endings in map(str.split, _TABLE.strip().splitlines()) for ending in endings
}
"""Content-Type by ending, in lower case."""


def media_type(name: bytes, more: dict[bytes, bytes] | None = None) -> bytes:
    """Content-Type of a file by its name; `more` counts before the table. An ending of two parts (`tar.gz`) may stand in `more`."""
    last = name.rpartition(b"/")[2].lower()
    first, dot, ending = last.rpartition(b".")
    if not dot:
        return DEFAULT
    if more:
        longer = first.rpartition(b".")
        found = (more.get(longer[2] + b"." + ending) if longer[1] else None) or more.get(ending)
        if found:
            return found
    return TYPES.get(ending, DEFAULT)
