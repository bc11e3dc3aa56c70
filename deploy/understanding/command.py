"""Names, options and help of the commands about texts; the work is imported when one runs."""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

Task = Literal["sentiment", "emotions", "topics"]

Config = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--config", "-c", envvar="HEADWATER_CONFIG", help="Settings file."),
]
Model = Annotated[
    str | None,
    typer.Option(help="Encoder instead: a folder, a hub id, or package:NAME."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of [understand]; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(analyse)
    app.command("train-head")(train_head)


def analyse(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="JSON lines with `text`, or plain lines.")
    ],
    config: Config = None,
    model: Model = None,
    heads: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option(help="Folder of heads instead; tasks without one use label prototypes."),
    ] = None,
    set_: Set = None,
) -> None:
    """Print language, sentiment, emotions, topics, tags and tokens of each text as JSON lines.

    With the settings of the job `understand`, through its handlers; topics are those of heads and
    prototypes, as a catalogue's own are in the job's state. Every line gets one of its own, in
    order; a text that cannot be read says in which phase it failed and why, and the exit
    code is 1.
    """
    from deploy.understanding import analysing, handlers

    settings = handlers.settings_of(config, model, heads, set_ or [])
    raise typer.Exit(analysing.run(file, settings))


def train_head(
    data: Annotated[Path, typer.Argument(help="CSV, TSV or JSON lines, plain or gzip.")],
    task: Annotated[Task, typer.Option(help="What the labels say about a text.")],
    text: Annotated[str, typer.Option(help="Column of the texts; a number: no header.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    test: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option(help="File to test on. Default: a fifth of the data."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of heads.")] = Path("heads"),
    limit: Annotated[int | None, typer.Option(min=10, help="Texts at most, drawn.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 20261125,
    config: Config = None,
    model: Model = None,
    set_: Set = None,
) -> None:
    """Train a head on labelled texts, and write it with its accuracy on texts it has not seen."""
    from deploy.understanding import handlers, training

    order = training.Order(
        task=task, data=data, test=test, text=text, label=label, limit=limit, out=out, seed=seed,
        encoder=handlers.settings_of(config, model, None, set_ or []).encoder,
    )  # fmt: skip
    training.run(order)
