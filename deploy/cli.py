"""The command line: names, options and help; each command's work is imported when it runs."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="headwater",
    help="Real-time recommendations on Kafka, Flink and Cassandra.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option(
        "--config",
        "-c",
        envvar="HEADWATER_CONFIG",
        help="Settings file; default: headwater.toml in this folder, if there is one.",
    ),
]
Count = Annotated[int | None, typer.Option(min=0, help="TaskManagers to have; one job needs one.")]


@app.command()
def doctor(config: Config = None) -> None:
    """Check what this machine has and say what to do about the rest."""
    from deploy import doctor as work

    raise typer.Exit(work.run(config))


@app.command()
def up(config: Config = None, taskmanagers: Count = None) -> None:
    """Start what is missing of Kafka, Cassandra and Flink; create topics and tables."""
    from deploy.stack import console

    console.up(config, taskmanagers)


@app.command()
def down(
    config: Config = None,
    *,
    wipe: Annotated[bool, typer.Option(help="Forget data, checkpoints and logs too.")] = False,
    wipe_cache: Annotated[bool, typer.Option(help="Forget the fetched jars too.")] = False,
) -> None:
    """Stop the stack; keep its data unless told otherwise."""
    from deploy.stack import console

    console.down(config, wipe=wipe, wipe_cache=wipe_cache)


@app.command()
def status(
    config: Config = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each service: state, memory, CPU, address. Exit code 1 unless all of it runs."""
    from deploy.stack import console

    raise typer.Exit(console.status(config, as_json=json))


@app.command()
def provision(
    kafka: Annotated[str, typer.Option(help="Bootstrap servers, HOST:PORT[,…].")] = "",
    cassandra: Annotated[str, typer.Option(help="A node, HOST[:PORT].")] = "",
    keyspace: Annotated[str, typer.Option(help="Keyspace of the tables.")] = "headwater",
    vector_dimensions: Annotated[int, typer.Option(min=1, help="Length of vectors.")] = 384,
    kafka_replication: Annotated[int, typer.Option(min=1, help="Replicas of a topic.")] = 1,
    cassandra_replication: Annotated[
        str, typer.Option(help="Replication of the keyspace, a CQL map.")
    ] = "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    cassandra_user: Annotated[
        str, typer.Option(envvar="HEADWATER_CASSANDRA_USER", help="User name.")
    ] = "",
) -> None:
    """Create topics and tables on a Kafka and a Cassandra that run elsewhere.

    A password comes from HEADWATER_CASSANDRA_PASSWORD alone. May be run again at any time.
    """
    from deploy.stack import console

    console.provision_kafka(kafka, kafka_replication)
    console.provision_cassandra(
        cassandra, keyspace, vector_dimensions, cassandra_replication, cassandra_user
    )


def main() -> None:
    """Runs the command line; an error of ours is one red text and exit code 1."""
    try:
        app()
    except Exception as error:
        from deploy.errors import HeadwaterError

        if not isinstance(error, HeadwaterError):
            raise
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
