"""The command line: names, options and help; each command's work is imported when it runs."""

import errno
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from deploy.bench import command as bench_command
from deploy.drills import command as drill_command
from deploy.evaluation import command as evaluation_command
from deploy.peers import command as peers_command
from deploy.replay import command as replay_command
from deploy.serving import command as serving_command
from deploy.understanding import command as understanding_command

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
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
Count = Annotated[int | None, typer.Option(min=0, help="TaskManagers to have; one job needs one.")]


@app.command()
def doctor(config: Config = None) -> None:
    """Check what this machine has and say what to do about the rest."""
    from deploy import doctor as work

    raise typer.Exit(work.run(config))


@app.command()
def up(
    config: Config = None,
    taskmanagers: Count = None,
    *,
    secure: Annotated[
        bool, typer.Option("--secure", help="TLS, passwords, roles; for a new stack.")
    ] = False,
) -> None:
    """Start what is missing of Kafka, Cassandra and Flink; create topics and tables."""
    from deploy.stack import console

    console.up(config, taskmanagers, secure=secure)


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


Job = Annotated[str, typer.Argument(help="Name of a job, such as recommend.")]


@app.command()
def submit(
    job: Job,
    config: Config = None,
    from_savepoint: Annotated[
        str | None, typer.Option(metavar="PATH|latest", help="Go on from there.")
    ] = None,
    clock: Annotated[
        Optional[Literal["live", "replay"]],  # noqa: UP045 - typer reads this at run time
        typer.Option(help="live never ends; replay goes by event time, and ends."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the job; repeatable."),
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Slots the job takes.")] = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until a replay has ended.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print the job's effective settings.")
    ] = False,
) -> None:
    """Start a job on the stack's Flink and wait until all of it runs."""
    from deploy import submit as work

    overrides = work.gather(clock, parallelism, set_ or [])
    options = work.Options(
        config=config, overrides=overrides, savepoint=from_savepoint, wait=wait, verbose=verbose
    )
    work.submit(job, options)


@app.command()
def stop(
    job: Job,
    config: Config = None,
    *,
    savepoint: Annotated[
        bool, typer.Option("--savepoint/--no-savepoint", help="Keep the state to go on from.")
    ] = True,
) -> None:
    """End a job with a savepoint, and print its path."""
    from deploy import submit as work

    work.stop(job, config, with_savepoint=savepoint)


@app.command()
def demo(
    config: Config = None,
    user: Annotated[str | None, typer.Option(help="A user of the data set, 1 to 610.")] = None,
    *,
    down: Annotated[bool, typer.Option("--down", help="Stop the stack at the end.")] = False,
) -> None:
    """Real events through Kafka, Flink and Cassandra; one click; the list before and after."""
    from deploy import demonstration as work

    raise typer.Exit(work.run(config, user, down=down))


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
        str, typer.Option(envvar="HEADWATER_CASSANDRA_USER", help="Role to log in as.")
    ] = "",
    kafka_user: Annotated[
        str, typer.Option(envvar="HEADWATER_KAFKA_USER", help="Name to log in with.")
    ] = "",
    kafka_mechanism: Annotated[
        Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"],
        typer.Option(help="How the password is proven."),
    ] = "SCRAM-SHA-512",
    tls_ca: Annotated[
        str, typer.Option(metavar="FILE", help="Certificate of the authority; turns TLS on.")
    ] = "",
) -> None:
    """Create topics and tables on a Kafka and a Cassandra that run elsewhere.

    Passwords come from HEADWATER_KAFKA_PASSWORD and HEADWATER_CASSANDRA_PASSWORD alone. May be run
    again at any time.
    """
    from deploy.stack import provisioning
    from jobs.settings import Kafka

    where = Kafka(bootstrap=kafka, user=kafka_user, mechanism=kafka_mechanism, tls_ca=tls_ca)
    provisioning.kafka(where, kafka_replication)
    provisioning.cassandra(
        provisioning.Node(cassandra, cassandra_user, tls_ca),
        keyspace,
        vector_dimensions,
        cassandra_replication,
    )


bench_command.register(app)
evaluation_command.register(app)
drill_command.register(app)
peers_command.register(app)
replay_command.register(app)
serving_command.register(app)
understanding_command.register(app)


def main() -> None:
    """Runs the command line; an error of ours is one red text and exit code 1."""
    try:
        app()
    except Exception as error:
        from deploy.errors import HeadwaterError

        text = str(error)
        if isinstance(error, OSError) and error.errno in FULL:
            where = f" for {error.filename}" if error.filename else ""
            text = (
                f"no room is left on the disk{where}: make some, or move the stack's folder, "
                "`home` in [stack], or the file that was to be written"
            )
        elif not isinstance(error, HeadwaterError):
            raise
        typer.secho(text, fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
