"""`gapura learn`: the explanations, a simulation of balancing, and a drawing of one's own configuration."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

import click

from gapura.cli import render, talk
from gapura.cli.place import Place, find, short, takes_place
from gapura.errors import EXIT_USAGE, CommandError
from gapura.learn import pages
from gapura.learn.scenario import MOST_REQUESTS, POLICIES, Scenario, ScenarioError, faults, numbers, slow_servers
from gapura.learn.words import LANGUAGES, language_of, say

ABOUT = {
    "web-server": "What a web server is: the journey of a request, and what it does on the way.",
    "load-balancing": "What load balancing is: policies compared, weight, max_fails, failover.",
    "homework": "The homework from start to end: an app, a domain, two servers, their failures.",
}

language_option = click.option("--lang", type=click.Choice(LANGUAGES), help="Language (default: the terminal's, else English).")


@click.group(invoke_without_command=True, subcommand_metavar="[TOPIC]")
@click.pass_context
def learn(context: click.Context) -> None:
    """Explain web servers and load balancing: texts, a simulation to play with, a drawing of your own site."""
    if context.invoked_subcommand is None:
        words = [(f"gapura learn {name}", command.get_short_help_str(100)) for name, command in learn.commands.items()]
        render.table(("command", "what it shows"), words)


def _topic(name: str) -> None:
    """Make the command that shows one page."""

    @learn.command(name, short_help=ABOUT[name], help=ABOUT[name])
    @click.option("--browser", is_flag=True, help="Open it in the browser, with the drawings.")
    @language_option
    def show(browser: bool, lang: str | None) -> None:
        language = lang or language_of()
        if browser:
            _open(name, language)
        else:
            _print(pages.for_terminal(name, language))


for _name in pages.TOPICS:
    _topic(_name)


def _print(markdown: str) -> None:
    """On a terminal page by page and in colour; elsewhere the text as it is."""
    if not sys.stdout.isatty():
        click.echo(markdown, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=min(100, Console().width), force_terminal=True)
    os.environ.setdefault("LESS", "-R")
    with console.capture() as capture:
        console.print(Markdown(markdown))
    click.echo_via_pager(capture.get())


def _open(topic: str, language: str) -> None:
    """From the dashboard of the Gapura that runs here; without one, from files in the cache, so that links between pages work."""
    url = _running(topic, language) or _filed(topic, language)
    click.echo(url)
    if not webbrowser.open(url):
        click.echo("No browser could be started: open this address in yours.", err=True)


def _running(topic: str, language: str) -> str:
    """The page's address at the dashboard, "" when there is none."""
    try:
        live = talk.running_status(find(click.get_current_context().find_root().params.get("config")))
    except CommandError:
        return ""
    dashboards = (live or {}).get("dashboards") or []
    return f"{dashboards[0]}learn/{language}/{topic}.html" if dashboards else ""


def _filed(topic: str, language: str) -> str:
    """Write all pages of a language; the address of the one that is meant."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    target = Path(home, "gapura", "learn", language)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for one in pages.TOPICS:
            (target / f"{one}.html").write_text(pages.html(one, language), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be written: {error.strerror}", "XDG_CACHE_HOME names another folder") from None
    return (target / f"{topic}.html").as_uri()


@learn.command(short_help="Compare balancing policies: slow servers, dying servers, weights.")
@click.option("--servers", type=click.IntRange(1, 26), metavar="N", help="So many servers (default: 4, or one for each weight).")
@click.option("--weights", metavar="LIST", help="Their weights, such as 3,1,1,1 (default: 1 each).")
@click.option("--cores", metavar="LIST", help="How many requests each works on at a time (default: as the weights).")
@click.option("--slow", multiple=True, metavar="N[xF]", help="Server N takes F times longer (default: 3). Again for more.")
@click.option("--kill", multiple=True, metavar="N@T[-T]", help="Server N dies at second T (and is back at a second T).")
@click.option("--hang", multiple=True, metavar="N@T[-T]", help="Server N takes requests but answers none from second T on.")
@click.option("--policy", default="all", metavar="LIST", help=f"{', '.join(POLICIES)} (default: all).")
@click.option("--requests", type=click.IntRange(1, MOST_REQUESTS), default=2000, show_default=True, help="How many requests.")
@click.option("--rate", type=click.FloatRange(0.1, 100_000), default=100.0, show_default=True, help="Requests per second.")
@click.option(
    "--work", type=click.FloatRange(0.1, 60_000), default=20.0, show_default=True, help="Milliseconds that a request takes."
)
@click.option("--clients", type=click.IntRange(1, 65536), default=100, show_default=True, help="Different visitors, for hashes.")
@click.option("--max-fails", type=click.IntRange(0, 1000), default=1, show_default=True, help="As in gapura.toml.")
@click.option("--fail-timeout", type=click.FloatRange(0.001, 86400), default=10.0, show_default=True, help="Seconds.")
@click.option("--checks/--no-checks", default=True, help="Health checks, as Gapura makes them.")
@click.option("--retry/--no-retry", default=True, help="A request that failed goes to another server.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, other chances; the same, the same."
)
@click.option("--svg", metavar="FILE", help="Write the picture into FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@language_option
def balance(policy: str, svg: str | None, as_json: bool, lang: str | None, **options: Any) -> None:
    """Play balancing through on a simulated clock, with the very code that balances in Gapura.

    Simulated are the visitors (they come at random), the servers and the time. Servers are numbered from 1.
    """
    from gapura.learn import chart, report, simulation

    language = lang or language_of()
    try:
        scenario = _scenario(**options)
        chosen = _policies(policy)
    except ScenarioError as error:
        raise CommandError(str(error.args[0]), "see `gapura learn balance --help`", EXIT_USAGE) from None
    results = simulation.play(scenario, chosen)
    if svg is not None:
        _write(svg, chart.draw(scenario, results, language))
    if as_json:
        click.echo(json.dumps(report.document(scenario, results), indent=2))
        return
    click.echo(report.summary(scenario, language))
    for result in results:
        click.echo()
        click.echo("\n".join(report.picture(scenario, result, language)))
    click.echo()
    render.table(*report.table(scenario, results, language))
    click.echo(f"\n{say(language, 'legend')}")


def _scenario(
    servers: int | None,
    weights: str | None,
    cores: str | None,
    slow: tuple[str, ...],
    kill: tuple[str, ...],
    hang: tuple[str, ...],
    **settings: Any,
) -> Scenario:
    """What the options ask for. Raises ScenarioError."""
    count = servers or (len(weights.split(",")) if weights and "," in weights else 4)
    shares = numbers(weights or "1", count, "weights", 100)
    return Scenario(
        weights=shares,
        cores=numbers(cores, count, "cores", 64) if cores else shares,
        slow=slow_servers(slow),
        faults=faults(kill) + faults(hang, hung=True),
        retries=settings.pop("retry"),
        work=settings.pop("work") / 1000,
        **settings,
    )


def _policies(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if words == ("all",):
        return POLICIES
    for word in words:
        if word not in POLICIES:
            raise ScenarioError(f"there is no policy {word!r}: {', '.join(POLICIES)}, or all")
    return words


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}", "") from None


@learn.command(short_help="Draw your own configuration: visitors, sites, policies, servers.")
@click.option("-o", "--output", metavar="FILE", default="gapura.svg", show_default=True, help="Where to; - prints it.")
@click.option("--title", metavar="TEXT", default="", help="The drawing's title, for those who hear it read.")
@language_option
@takes_place
def draw(place: Place, output: str, title: str, lang: str | None) -> None:
    """Draw the configuration as an SVG that browsers, slides and documents show: visitors, sites, policies, servers.

    Where Gapura runs, the drawing shows how its servers are at this moment.
    """
    from gapura.learn import drawing
    from gapura.learn.picture import picture

    live = talk.running_status(place)
    svg = drawing.draw(picture(place.plan(), live), lang or language_of(), title)
    if output == "-":
        click.echo(svg, nl=False)
        return
    _write(output, svg)
    now = "as it runs now" if live else "as the file says; Gapura does not run here"
    click.echo(f"{short(output)}: {now}")
