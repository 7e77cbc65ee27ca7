"""A picture as a drawing: visitors → site → policy → servers, with the shapes and words of the dashboard."""

from __future__ import annotations

from typing import Any, Final

from gapura.learn.canvas import Canvas
from gapura.learn.picture import Picture
from gapura.learn.words import WORDS, say

COLOURS: Final = {"up": "good", "draining": "warn", "benched": "warn", "disabled": "faint"}
"""Of the line to a server in this state and of its border; all others are "bad"."""
SITE_X, POLICY_X, SERVER_X, WIDTH = 150, 430, 660, 920
ROW: Final = 62
GAP: Final = 26
THICKEST: Final = 9.0


def draw(picture: Picture, language: str = "en", title: str = "") -> str:
    """The drawing as SVG. Sites stand above each other, each upstream beside the first site that leads to it."""
    upstreams = {upstream["name"]: upstream for upstream in picture["upstreams"]}
    tops, height = _places(picture, upstreams)
    canvas = Canvas(WIDTH, height, title or say(language, "drawing"), describe(picture, language))
    middle = height / 2
    canvas.visitors(60, middle - 8, say(language, "visitors"))
    for number, upstream in enumerate(picture["upstreams"]):
        _draw_upstream(canvas, upstream, tops[f"upstream {number}"], language)
    for number, site in enumerate(picture["sites"]):
        top = tops[f"site {number}"]
        canvas.arrow(105, middle, SITE_X - 4, top + site_height(site) / 2, "accent", 2.5)
        _draw_site(canvas, site, top, language)
        for line, route in enumerate(site["routes"]):
            for name in route["upstreams"]:
                target = list(upstreams).index(name)
                middle_of = tops[f"upstream {target}"] + len(upstreams[name]["servers"] or [1]) * ROW / 2
                canvas.arrow(SITE_X + 220, top + 52 + line * 20, POLICY_X - 4, middle_of, "accent", 2.5)
    return canvas.svg()


def site_height(site: dict[str, Any]) -> int:
    """The height of a site's box: its name, its routes."""
    return 48 + 20 * len(site["routes"])


def _places(picture: Picture, upstreams: dict[str, dict[str, Any]]) -> tuple[dict[str, float], float]:
    """The top of each site and each upstream, and the height of the whole."""
    tops: dict[str, float] = {}
    y = site_y = 24.0
    for number, site in enumerate(picture["sites"]):
        names = [name for route in site["routes"] for name in route["upstreams"]]
        mine = [n for n, name in enumerate(upstreams) if name in names and f"upstream {n}" not in tops]
        begin = y = max(y, site_y)
        for one in mine:
            tops[f"upstream {one}"] = y
            y += len(picture["upstreams"][one]["servers"] or [1]) * ROW + GAP
        spare = max(0.0, (y - GAP - begin - site_height(site)) / 2) if mine else 0.0
        tops[f"site {number}"] = begin + spare
        site_y = begin + spare + site_height(site) + GAP
        y = max(y, site_y) if mine else y
    return tops, max(y, site_y, 140.0)


def _draw_site(canvas: Canvas, site: dict[str, Any], top: float, language: str) -> None:
    canvas.box(SITE_X, top, 220, site_height(site), "warn" if site["closed"] else "accent")
    more = f" +{len(site['hosts']) - 1}" if len(site["hosts"]) > 1 else ""
    canvas.text(SITE_X + 12, top + 24, shortened(site["id"], 22) + more, bold=True)
    hint = say(language, "closed") if site["closed"] else say(language, "encrypted") if site["tls"] else "HTTP"
    canvas.text(SITE_X + 208, top + 24, hint, "warn" if site["closed"] else "faint", 12, "end")
    for line, route in enumerate(site["routes"]):
        action = (
            ", ".join(route["upstreams"])
            if route["upstreams"]
            else say(language, route["action"])
            if route["action"] in WORDS
            else route["action"]
        )
        canvas.text(SITE_X + 12, top + 56 + line * 20, f"{shortened(route['name'], 16)} → {shortened(action, 14)}", "ink", 13)


def _draw_upstream(canvas: Canvas, upstream: dict[str, Any], top: float, language: str) -> None:
    servers = upstream["servers"]
    middle = top + len(servers or [1]) * ROW / 2
    canvas.box(POLICY_X, middle - 25, 150, 50, "accent", 25)
    canvas.text(POLICY_X + 75, middle - 3, shortened(upstream["name"], 18), anchor="middle", bold=True)
    canvas.text(POLICY_X + 75, middle + 14, upstream["policy"], "faint", 12, "middle")
    total = whole(servers)
    for number, server in enumerate(servers):
        y = top + number * ROW + 6
        colour = COLOURS.get(server["state"], "bad")
        share = server["weight"] / total
        used = server["state"] == "up" and not server["backup"]
        wide = max(1.5, THICKEST * share) if used else 1.5
        canvas.arrow(POLICY_X + 152, middle, SERVER_X - 6, y + 25, colour if not server["backup"] else "faint", wide, not used)
        canvas.box(SERVER_X, y, 240, 50, colour)
        canvas.text(SERVER_X + 12, y + 21, shortened(server["id"], 27), bold=True)
        if server["address"] != server["id"]:
            canvas.text(SERVER_X + 230, y + 21, shortened(server["address"], 21), "faint", 11, "end")
        canvas.text(SERVER_X + 12, y + 40, server_note(server, share, language), "faint" if server["state"] == "up" else colour, 12)


def whole(servers: list[dict[str, Any]]) -> int:
    """The sum of the weights among which requests are shared now; at least 1."""
    return sum(server["weight"] for server in servers if not server["backup"] and server["state"] == "up") or 1


def server_note(server: dict[str, Any], share: float, language: str) -> str:
    """One line about a server: its weight and share, how it is."""
    state = say(language, server["state"]) if server["state"] in WORDS else str(server["state"])
    if server["backup"]:
        return f"{say(language, 'backup')}, {state}"
    if server["state"] == "up":
        return f"{say(language, 'weight')} {server['weight']} ({share * 100:.0f} %), {state}"
    return state


def describe(picture: Picture, language: str) -> str:
    """The drawing in words, for who cannot see it."""
    said = []
    for site in picture["sites"]:
        for route in site["routes"]:
            action = ", ".join(route["upstreams"]) or (
                say(language, route["action"]) if route["action"] in WORDS else route["action"]
            )
            said.append(f"{say(language, 'visitors')} → {site['id']} {route['name']} → {action}.")
    for upstream in picture["upstreams"]:
        total = whole(upstream["servers"])
        servers = "; ".join(
            f"{server['id']} ({server_note(server, server['weight'] / total, language)})" for server in upstream["servers"]
        )
        said.append(f"{upstream['name']} ({upstream['policy']}): {servers}.")
    return " ".join(said)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
