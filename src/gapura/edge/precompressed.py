"""Neighbours of a file that hold it compressed, `app.js.br` beside `app.js`: which of them a client wants (nginx: gzip_static)."""

from __future__ import annotations

from typing import Final

from gapura.edge.weights import weights

CODINGS: Final = {b"br": b"br", b"zst": b"zstd", b"gz": b"gzip"}
"""Content coding by the ending of the neighbour's name."""


def wanted(accepted: bytes, endings: list[bytes]) -> list[bytes]:
    """The endings whose coding an Accept-Encoding field likes at least as much as the file itself, best first.

    Among equals the order of `endings` counts (RFC 9110 §12.5.3).
    """
    said = weights(accepted)
    others = said.get(b"*", 0)
    plain = said.get(b"identity", 0)
    liked = [(said.get(CODINGS[ending], others), ending) for ending in endings]
    liked.sort(key=lambda item: -item[0])
    return [ending for weight, ending in liked if weight and weight >= plain]
