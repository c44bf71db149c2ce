"""`paradox up` and `down`: a Ray cluster on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from paradox.cli.connection import AsJson, each, joined
from paradox.printing import end_with, print_json, program, progress, reporting, say, told


def up(
    num_cpus: Annotated[
        int | None,
        typer.Option(
            help="Logical CPUs to offer Ray; those of the machine if not given. Ignored if the "
            "cluster runs already."
        ),
    ] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the Ray dashboard too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start a Ray cluster on this machine, with the collections of PARADOX_HOME's catalog.

    It outlives this command, and asks for this user's Ray token, which is made if there is none.
    """
    from paradox.cluster import local

    with reporting(as_json):
        already = local.running() is not None
        with progress("starting Ray", as_json):
            cluster = local.start(num_cpus=num_cpus, dashboard=dashboard)
        with joined(cluster.address) as client:
            names = client.list()
            _, failed = each(names, lambda name: client.get(name), "opening", as_json)
        if as_json:
            print_json(cluster, collections=names, failed=told(failed))
        else:
            print(f"Ray runs {'already ' if already else ''}at {cluster.address}.")
            print(f"Collections: {', '.join(names) or 'none'}.")
            if cluster.dashboard_url:
                asks = ", which asks for what `ray get-auth-token` prints"
                print(f"Dashboard: {cluster.dashboard_url}{asks if cluster.with_token else ''}.")
                mode = "RAY_AUTH_MODE=token " if cluster.with_token else ""
                print("A job, from a checkout of the sources:")
                print(
                    f"  {mode}{program('ray')} job submit --address {cluster.dashboard_url} "
                    f"--working-dir . -- {program('python')} jobs/query.py …"
                )
            print(
                "`paradox ingest` fills a collection, `paradox query` asks, `paradox down` ends it."
            )
        end_with(failed, as_json)


def down(as_json: AsJson = False) -> None:
    """End the Ray cluster that `paradox up` started; the data stay."""
    from paradox.cluster import local

    with reporting(as_json):
        with progress("ending Ray", as_json):
            cluster = local.stop()
        say(
            {"stopped": cluster.address if cluster else None},
            f"ended {cluster.address}" if cluster else "nothing runs that `paradox up` started",
            as_json,
        )
