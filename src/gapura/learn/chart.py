"""The results of a simulation as a drawing: for each policy what each server got, and how long visitors waited."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from gapura.learn import report
from gapura.learn.canvas import Canvas
from gapura.learn.scenario import Scenario
from gapura.learn.simulation import Result
from gapura.learn.words import say

LEFT, SERVER_X, COURSE_X, WIDTH = 24, 260, 560, 920
ROW: Final = 34
HEAD: Final = 74
COURSE_WIDTH: Final = 330


def draw(scenario: Scenario, results: Sequence[Result], language: str = "en") -> str:
    """The chart as SVG."""
    block = scenario.servers * ROW + 46
    description = " ".join(line for result in results for line in _spoken(scenario, result, language))
    canvas = Canvas(WIDTH, HEAD + block * len(results) + 10, say(language, "chart"), description)
    canvas.text(LEFT, 32, say(language, "chart"), size=18, bold=True)
    canvas.text(LEFT, 54, report.summary(scenario, language), "faint", 13)
    for number, result in enumerate(results):
        _policy(canvas, scenario, result, HEAD + number * block, language)
    return canvas.svg()


def _policy(canvas: Canvas, scenario: Scenario, result: Result, top: float, language: str) -> None:
    """One policy: a tree with lines as wide as the shares, the course of each server, the figures."""
    middle = top + scenario.servers * ROW / 2
    canvas.box(LEFT, middle - 32, 176, 64, "bad" if result.errors else "accent", 16)
    canvas.text(LEFT + 88, middle - 12, result.policy, anchor="middle", bold=True)
    canvas.text(
        LEFT + 88,
        middle + 6,
        f"p50 {report.milliseconds(result.p50, language)} · p99 {report.milliseconds(result.p99, language)}",
        "faint",
        12,
        "middle",
    )
    errors = f"{say(language, 'errors')} {result.errors} · {say(language, 'retried')} {result.retried}"
    canvas.text(LEFT + 88, middle + 22, errors, "bad" if result.errors else "faint", 12, "middle")
    highest = max([1, *(count for part in result.servers for count in part.course)])
    for number, part in enumerate(result.servers):
        y = top + number * ROW
        kind = "bad" if any(fault.server == number for fault in scenario.faults) else "warn" if number in scenario.slow else "good"
        canvas.arrow(LEFT + 178, middle, SERVER_X - 4, y + 13, kind, max(1.0, part.share * 14), not part.answered)
        canvas.box(SERVER_X, y, 280, 26, kind, 6)
        note = report.note(scenario, number, language)
        canvas.text(SERVER_X + 10, y + 18, f"{say(language, 'server')} {number + 1}", size=13, bold=True)
        canvas.text(SERVER_X + 78, y + 18, note, "faint", 11)
        canvas.text(SERVER_X + 272, y + 18, report.percent(part.share, language), size=13, anchor="end")
        step = COURSE_WIDTH / len(part.course)
        for place, count in enumerate(part.course):
            tall = math.ceil(count / highest * 26)
            if tall:
                canvas.bar(COURSE_X + place * step, y + 26 - tall, step - 1, tall, kind)
    bottom = top + scenario.servers * ROW
    canvas.line(COURSE_X, bottom, COURSE_X + COURSE_WIDTH, bottom)
    canvas.text(COURSE_X, bottom + 16, "0 s", "faint", 11)
    canvas.text(COURSE_X + COURSE_WIDTH, bottom + 16, f"{result.seconds:g} s", "faint", 11, "end")


def _spoken(scenario: Scenario, result: Result, language: str) -> list[str]:
    parts = ", ".join(
        f"{say(language, 'server')} {number + 1} {report.percent(part.share, language)}"
        for number, part in enumerate(result.servers)
    )
    figures = f"p50 {report.milliseconds(result.p50, language)}, p99 {report.milliseconds(result.p99, language)}"
    return [f"{result.policy}: {parts}; {figures}; {say(language, 'errors')} {result.errors}."]
