"""The results of a simulation for a terminal and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gapura.learn.scenario import POLICIES, Scenario
from gapura.learn.simulation import Result
from gapura.learn.words import say

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 20
"""Columns of the bar that is a whole."""
LONGEST: Final = max(map(len, POLICIES))
WIDEST: Final = 8
"""The table of more servers would have lines that no terminal shows; the pictures tell their shares."""
COURSE: Final = 24
"""Columns of the course of time."""


def summary(scenario: Scenario, language: str = "en") -> str:
    """One sentence about what is played."""
    return say(language, "summary", scenario.requests, scenario.rate, scenario.servers, scenario.work * 1000, scenario.seed)


def table(scenario: Scenario, results: Sequence[Result], language: str = "en") -> tuple[list[str], list[list[str]]]:
    """Headers, and a row for each policy."""
    shown = scenario.servers if scenario.servers <= WIDEST else 0
    servers = [f"{say(language, 'server')} {number + 1}" for number in range(shown)]
    headers = [say(language, "policy"), *servers, "p50", "p99", say(language, "retried"), say(language, "errors")]
    rows = []
    for result in results:
        shares = [percent(part.share, language) for part in result.servers[:shown]]
        rows.append(
            [result.policy, *shares, milliseconds(result.p50, language), milliseconds(result.p99, language), *_counts(result)]
        )
    return headers, rows


def _counts(result: Result) -> list[str]:
    return [str(result.retried), str(result.errors)]


def picture(scenario: Scenario, result: Result, language: str = "en") -> list[str]:
    """visitors → policy → servers in characters: each server's share as a bar, and its course over the time."""
    left = f"{say(language, 'visitors')} ─▶ {result.policy} ".ljust(len(say(language, "visitors")) + LONGEST + 5, "─")
    notes = [note(scenario, number, language) for number in range(scenario.servers)]
    wide = max(len(text) for text in notes)
    highest = max([1, *(count for part in result.servers for count in _halved(part.course))])
    lines = []
    for number, part in enumerate(result.servers):
        begin = left if number == (scenario.servers - 1) // 2 else " " * len(left)
        course = "".join(BARS[min(7, count * 8 // highest)] if count else " " for count in _halved(part.course))
        branch = _branch(number, scenario.servers, begin is left)
        bar = "█" * min(WIDTH, round(part.share * WIDTH * 1.5)) if part.share else ""
        before = f"{begin}{branch}▶ {number + 1}  {notes[number]:{wide}}".rstrip().ljust(len(left) + wide + 7)
        lines.append(f"{before}  {bar:{WIDTH}} {percent(part.share, language):>7}  {course}")
    times = f"p50 {milliseconds(result.p50, language)}  p99 {milliseconds(result.p99, language)}"
    figures = f"{times}  {say(language, 'errors')} {result.errors}"
    return [*lines, f"{figures:{len(lines[0]) - COURSE}}{_scale(result)}"]


def _branch(number: int, servers: int, here: bool) -> str:
    """The piece of the tree before a server."""
    if servers == 1:
        return "──"
    if number == 0:
        return "┬─" if here else "┌─"
    if number == servers - 1:
        return "└─"
    return "┼─" if here else "├─"


def _scale(result: Result) -> str:
    end = f"{result.seconds:g} s"
    return "0 s" + " " * max(1, COURSE - 3 - len(end)) + end


def _halved(course: Sequence[int]) -> list[int]:
    """A course in `COURSE` parts."""
    step = len(course) // COURSE
    return [sum(course[begin : begin + step]) for begin in range(0, len(course), step)]


def note(scenario: Scenario, number: int, language: str = "en") -> str:
    """What is special about a server: its weight, that it is slow, when it fails."""
    said = []
    if len(set(scenario.weights)) > 1:
        said.append(f"{say(language, 'weight')} {scenario.weights[number]}")
    if number in scenario.slow:
        said.append(say(language, "slower", scenario.slow[number]))
    for fault in scenario.faults:
        if fault.server == number:
            words = ("hangs", "hung") if fault.hung else ("dies", "dead")
            said.append(
                say(language, words[0], fault.begin) if fault.end is None else say(language, words[1], fault.begin, fault.end)
            )
    return ", ".join(said)


def document(scenario: Scenario, results: Sequence[Result]) -> dict[str, Any]:
    """For scripts. Times are in milliseconds, shares between 0 and 1, the course in equal parts of the time."""
    return {
        "seed": scenario.seed,
        "requests": scenario.requests,
        "rate": scenario.rate,
        "work_ms": scenario.work * 1000,
        "policies": [
            {
                "policy": result.policy,
                "p50_ms": round(result.p50 * 1000, 3),
                "p90_ms": round(result.p90 * 1000, 3),
                "p99_ms": round(result.p99 * 1000, 3),
                "longest_ms": round(result.longest * 1000, 3),
                "retried": result.retried,
                "errors": result.errors,
                "servers": [
                    {
                        "server": number + 1,
                        "weight": part.weight,
                        "answered": part.answered,
                        "failed": part.failed,
                        "share": round(part.share, 6),
                        "course": list(part.course),
                    }
                    for number, part in enumerate(result.servers)
                ],
            }
            for result in results
        ],
    }


def percent(share: float, language: str = "en") -> str:
    return decimal(f"{share * 100:.1f} %", language)


def milliseconds(seconds: float, language: str = "en") -> str:
    """A time as people read it: "230 ms", "4.6 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else decimal(f"{seconds:.1f} s", language)


def decimal(text: str, language: str) -> str:
    """A number with the decimal sign of the language."""
    return text.replace(".", ",") if language == "id" else text
