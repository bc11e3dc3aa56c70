"""The examples in the docstrings hold."""

import doctest
import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest

import jobs
import operators
import udfs


def modules(package: ModuleType) -> Iterator[str]:
    return (found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."))


@pytest.mark.parametrize("name", [name for one in (operators, udfs, jobs) for name in modules(one)])
def test_the_examples_of_a_module_hold(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyFlink warns of its own classes
        module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(importlib.import_module("operators.packing"))
    assert sum(bool(one.examples) for one in found) >= 2
