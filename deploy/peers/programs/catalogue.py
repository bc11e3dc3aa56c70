"""The peers by name: where the code of each is, and what its version is read from."""

from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

from .past import Past
from .prequential import Peer


class Program(NamedTuple):
    """Where a peer is.

    Attributes:
        module: Of this package.
        kind: Its class.
        parameters: The class of its parameters.
        library: The distribution whose version is the peer's.
    """

    module: str
    kind: str
    parameters: str
    library: str = "numpy"


PROGRAMS = {
    "popularity": Program("popularity", "Popularity", "PopularityParameters"),
    "popularity-decayed": Program("popularity", "Popularity", "PopularityParameters"),
    "item-knn": Program("knn", "ItemKnn", "KnnParameters"),
    "ease": Program("ease", "Ease", "EaseParameters", "scipy"),
    "als": Program("als", "Als", "AlsParameters", "implicit"),
    "bpr": Program("bpr", "Bpr", "BprParameters", "implicit"),
    "lightfm": Program("warp", "Warp", "WarpParameters", "lightfm-next"),
    "svd": Program("stars", "Surprise", "SurpriseParameters", "scikit-surprise"),
    "svd++": Program("stars", "Surprise", "SurpriseParameters", "scikit-surprise"),
    "baseline-only": Program("stars", "Surprise", "SurpriseParameters", "scikit-surprise"),
    "biased-mf": Program("stars", "River", "RiverParameters", "river"),
    "two-tower": Program("two_tower", "TwoTower", "TwoTowerParameters", "tensorflow-recommenders"),
    "sasrec": Program("sasrec", "Sasrec", "SasrecParameters", "tensorflow"),
}


def make(name: str, past: Past, parameters: dict[str, Any]) -> Peer:
    """Make a peer.

    Args:
        name: Of `PROGRAMS`.
        past: What it may look at.
        parameters: By the names of its parameters' class; those left out have their defaults.

    Raises:
        TypeError: If a parameter is unknown.
    """
    program = PROGRAMS[name]
    module = import_module(f".{program.module}", __package__)
    settings = getattr(module, program.parameters)(**parameters)
    peer: Peer = getattr(module, program.kind)(past, settings)
    return peer


def described(name: str) -> str:
    """The library of a peer with its version."""
    library = PROGRAMS[name].library
    return f"{library} {version(library)}"
