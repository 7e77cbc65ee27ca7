"""A body that is sent many times, with its compressed forms."""

from __future__ import annotations


class Lasting(bytes):
    """Give `sink.whole` one of these instead of plain bytes where the same object answers again and again: what compresses
    the answer keeps the result in `forms` and does not do it twice. The forms live as long as the body.
    """

    forms: dict[tuple[str, int], bytes]
    """The compressed body by (content coding, level); b"" where the coding would only make it longer."""

    def __new__(cls, body: bytes) -> Lasting:
        self = super().__new__(cls, body)
        self.forms = {}
        return self
