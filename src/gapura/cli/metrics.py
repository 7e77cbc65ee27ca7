"""`gapura metrics`: the figures for Prometheus, and what Grafana and Prometheus need to show them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from gapura.cli import admin
from gapura.cli.place import find
from gapura.config.place import NAME
from gapura.errors import EXIT_USAGE, CommandError

FILES: Final = Path(__file__).with_name("monitoring")


@click.command()
@click.option("--grafana", is_flag=True, help="Print a dashboard, to be imported in Grafana.")
@click.option("--alerts", is_flag=True, help="Print rules for Prometheus' alerts.")
@click.option("--stub-status", is_flag=True, help="Print the page of nginx's stub_status.")
@click.option("-c", "--config", "file", metavar="FILE", help=f"The configuration (default: ./{NAME}).")
@click.pass_context
def metrics(context: click.Context, grafana: bool, alerts: bool, stub_status: bool, file: str | None) -> None:
    """Print what /metrics tells Prometheus: requests, durations, servers, apps, certificates.

    docs/metrics.md says what each name means, and how Prometheus gets them without this command.
    """
    if grafana + alerts + stub_status > 1:
        raise CommandError("--grafana, --alerts and --stub-status: one at a time", "", EXIT_USAGE)
    if grafana or alerts:  # these are the same everywhere, whether something runs or not
        click.echo((FILES / ("grafana.json" if grafana else "alerts.yml")).read_text(encoding="utf-8"), nl=False)
        return
    place = find(file if file is not None else context.find_root().params.get("config"))
    status, text = admin.fetch(place, "/stub_status" if stub_status else "/metrics", "text/plain")
    if status != 200:
        raise CommandError(f"the admin API answered {status}", "a moment after the start it is there; else see `gapura status`")
    click.echo(text.decode("utf-8", "replace"), nl=False)
