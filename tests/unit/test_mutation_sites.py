"""What the mutation tests change in a source, and what they leave alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.sites import mutants
from tests.mutation.targets import TARGETS


def changes(source: str) -> list[str]:
    return [f"{mutant.before} -> {mutant.after}" for mutant in mutants(source.encode())]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a > 0.5", ["a > 0.5 -> a >= 0.5", "a > 0.5 -> a <= 0.5", "a > 0.5 -> a > 1.5", "a > 0.5 -> a > -0.5"]),
        ("x = a - b", ["a - b -> a + b"]),
        ("x = a << 1", ["a << 1 -> a >> 1", "a << 1 -> a << 2", "a << 1 -> a << 0"]),
        ("x += y", ["x += y -> x -= y"]),
        ("x = a and b", ["a and b -> a or b"]),
        ("x = not a", ["not a -> a"]),
        ("x = True", ["True -> False"]),
        ("x = 3", ["3 -> 4", "3 -> 2"]),
        ("x = min(a, b)", ["min -> max"]),
        ("x = np.any(a)", ["np.any -> np.all"]),
        ("x = a if b else c", ["b -> not b"]),
        ("while a:\n    break", ["a -> not a", "break -> continue"]),
        ("def f():\n    return a", ["return a -> return None"]),
    ],
)
def test_every_kind_of_change(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""What it does: 1 + 1."""',
        "x: Literal[3]",
        "@njit(cache=True)\ndef f(a: int = None) -> Array[1]:\n    pass",
        'def f():\n    raise ValueError(f"was {1 + 1}")',
        "def f():\n    return None",
        'x = "text"',
    ],
)
def test_what_only_documents_stays(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_is_the_module_with_one_change_of_one_place() -> None:
    source = "low = a\nif low < high * 2:\n    é = low + 1\n".encode()
    found = {(item.line, item.text, item.after): item.source.decode() for item in mutants(source)}
    assert found[2, "if low < high * 2:", "high * 3"] == "low = a\nif low < (high * 3):\n    é = low + 1\n"
    assert found[3, "é = low + 1", "low - 1"] == "low = a\nif low < high * 2:\n    é = (low - 1)\n"


@pytest.mark.parametrize("name", TARGETS)
def test_mutants_of_a_target_are_modules_and_other_ones(name: str) -> None:
    source = Path(TARGETS[name].path).read_bytes()
    tree = ast.dump(ast.parse(source))
    for mutant in list(mutants(source))[::50]:
        assert ast.dump(ast.parse(mutant.source)) != tree
    assert all(Path(test).is_file() for test in TARGETS[name].tests)
