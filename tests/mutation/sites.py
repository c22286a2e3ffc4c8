"""Every way to change one place of a Python source: the mutants."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""An ordering is moved to or from its boundary, and turned round."""

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}

OPPOSITES = {"min": "max", "minimum": "maximum", "any": "all"}
OPPOSITES |= {value: key for key, value in OPPOSITES.items()}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one place."""

    line: int
    text: str
    """The line as it was, stripped."""
    before: str
    after: str
    source: bytes
    """The whole module with the change."""


def mutants(source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of a module in the order of its lines.

    Annotations, decorators, docstrings and messages (f-strings) stay as they are: they are not what tests are for.
    """
    changes = [change for node in _behaviour(ast.parse(source)) for change in _changes(node)]
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for old, text in sorted(changes, key=lambda change: (change[0].lineno, change[0].col_offset)):
        assert old.end_lineno is not None
        assert old.end_col_offset is not None
        begin, end = starts[old.lineno - 1] + old.col_offset, starts[old.end_lineno - 1] + old.end_col_offset
        yield Mutant(
            old.lineno,
            lines[old.lineno - 1].decode().strip(),
            " ".join(source[begin:end].decode().split()),
            text,
            source[:begin] + (f"({text})" if isinstance(old, ast.expr) else text).encode() + source[end:],
        )


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Yield `node` and what is under it, but for what only documents it."""
    if isinstance(node, ast.JoinedStr | ast.Raise):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "pattern", "op", "ops", "ctx"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            # A number is changed with the expression that it stands in, so that a survivor tells what it means.
            if isinstance(child, ast.AST) and not (isinstance(node, ast.Compare | ast.BinOp) and _is_number(child)):
                yield from _behaviour(child)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield what to replace, and by what text."""
    match node:
        case ast.Compare(left=left, ops=operators, comparators=others):
            for place, operator in enumerate(operators):
                for other in COMPARISONS[type(operator)]:
                    changed = [*operators[:place], other(), *operators[place + 1 :]]
                    yield node, ast.unparse(ast.Compare(left, changed, others))
            sides = [left, *others]
            for place, side in enumerate(sides):
                for number in _near(side):
                    first, *rest = [*sides[:place], number, *sides[place + 1 :]]
                    yield node, ast.unparse(ast.Compare(first, operators, rest))
        case ast.BinOp(left=left, op=operator, right=right):
            if type(operator) in OPERATORS:
                yield node, ast.unparse(ast.BinOp(left, OPERATORS[type(operator)](), right))
            for number in _near(left):
                yield node, ast.unparse(ast.BinOp(number, operator, right))
            for number in _near(right):
                yield node, ast.unparse(ast.BinOp(left, operator, number))
        case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in OPERATORS:
            yield node, ast.unparse(ast.AugAssign(target, OPERATORS[type(operator)](), value))
        case ast.BoolOp(op=operator, values=values):
            yield node, ast.unparse(ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values))
        case ast.UnaryOp(operand=operand):
            yield node, ast.unparse(operand)
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant():
            for number in _near(node):
                yield node, ast.unparse(number)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in OPPOSITES:
            function = ast.unparse(node.func).removesuffix(name) + OPPOSITES[name]
            yield node.func, function
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield node, "return None"
        case ast.Continue():
            yield node, "break"
        case ast.Break():
            yield node, "continue"
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not _is_changed_itself(test):
            yield test, f"not {ast.unparse(test)}"


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


def _near(node: ast.expr) -> list[ast.Constant]:
    """Return the numbers one above and one below; none of what is not a number."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and _is_number(node):
        return [ast.Constant(node.value + 1), ast.Constant(node.value - 1)]
    return []


def _is_changed_itself(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp)
