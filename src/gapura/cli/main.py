"""The command `gapura`: which verbs there are, and what becomes of errors.

A verb's module is imported when the verb is called, so that every command starts fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from gapura import __version__
from gapura.errors import EXIT_CONFIG, EXIT_FAILURE, CommandError, ConfigError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it (128 + SIGINT)."""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "up": ("run", "Start Gapura, or take over from the one that runs."),
        "down": ("run", "Stop Gapura and all apps."),
        "reload": ("run", "Apply the changed configuration without dropping a request."),
        "check": ("check", "Find everything that is wrong with the configuration."),
        "diff": ("diff", "Show what a reload would change."),
    },
    "Look": {
        "dashboard": ("dashboard", "Open the dashboard in a browser."),
        "status": ("status", "Show sites, upstreams, servers and workers."),
        "ps": ("status", "Show every process of the apps."),
        "logs": ("logs", "Show what the apps print, or the access log."),
        "events": ("events", "Show what has happened: crashes, outages, reloads, certificates."),
        "metrics": ("metrics", "Print the figures for Prometheus, a Grafana dashboard, alerts."),
        "certificates": ("certificates", "Show certificates: from whom, until when, what is wrong."),
        "explain": ("explain", "Tell what answers a URL, or what became of a request, and why."),
        "why": ("why", "Tell why the last requests failed."),
    },
    "Operate": {
        "start": ("apps", "Start an app or one of its instances."),
        "stop": ("apps", "Stop an app or one of its instances."),
        "restart": ("apps", "Restart an app, one instance after the other."),
        "scale": ("apps", "Change how many instances an app has."),
        "drain": ("servers", "Send a server no new requests."),
        "enable": ("servers", "Send a drained server requests again."),
        "server": ("server", "Add, remove and weigh servers without the file."),
        "maintenance": ("maintenance", "Close sites for visitors while they are worked on."),
    },
    "Set up": {
        "token": ("token", "Make, list and revoke the tokens of the admin API."),
        "demo": ("demo", "Run the example: a film catalogue in two copies."),
        "learn": ("learn", "Explain web servers and balancing, with a simulation and drawings."),
        "hosts": ("hosts", "Show or write the lines for the hosts file."),
        "trust": ("trust", "Have this machine and its browsers believe the local CA."),
        "password": ("password", "Make a line for a file of names and passwords."),
        "startup": ("startup", "Show or install the systemd unit."),
        "schema": ("check", "Print the JSON Schema of gapura.toml for editors."),
        "version": ("version", "Print the version."),
    },
}

VERBS = {verb: entry for section in SECTIONS.values() for verb, entry in section.items()}


class Verbs(click.Group):
    """The group of all verbs; the overview is printed from the table, without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"gapura.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise CommandError(f"there is no command {args[0]!r}", did_you_mean(args[0], VERBS) or "see `gapura --help`", 2)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb, entry[1]) for verb, entry in verbs.items()], col_max=12)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-c", "--config", metavar="FILE", help="The configuration (default: ./gapura.toml).")
@click.version_option(__version__, message="gapura %(version)s")
def gapura(config: str | None) -> None:
    """Web server, reverse proxy, load balancer and process manager: one file, one command."""


def did_you_mean(word: str, known: Sequence[str] | dict[str, object] | dict[str, tuple[str, str]]) -> str:
    """A hint that names the nearest right word, or ""."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean `{found[0]}`?" if found else ""


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit status. Whatever a user can do wrong ends here, without a traceback."""
    try:
        status = gapura.main(args=None if arguments is None else list(arguments), prog_name="gapura", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except ConfigError as error:
        print("\n".join(problem.render() for problem in error.problems), file=sys.stderr)
        return EXIT_CONFIG
    except CommandError as error:
        complain(error)
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at its end
        return EXIT_FAILURE
    except PermissionError as error:
        complain(CommandError(f"permission denied: {error.filename or error}", "another user owns it; perhaps with sudo?"))
        return EXIT_FAILURE


def complain(error: CommandError) -> None:
    """Say on standard error what could not be done, what is wrong in the file if that is why, and what to do."""
    for problem in error.problems:
        print(problem.render(), file=sys.stderr)
    if error.message:
        print(f"gapura: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


def main() -> NoReturn:
    """The entry point."""
    sys.exit(run())
