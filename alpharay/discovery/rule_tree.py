"""One evolved rule pair: DEAP trees for entry and exit, grown, crossed and mutated, and as an ordinary strategy.

All random numbers come from the `random` module, which DEAP uses: seed it around a generation (`seeded`).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from deap import gp

from alpharay.discovery.rule_grammar import Length, Percent, rule_grammar
from alpharay.strategies.expression import Comparison, Condition, Crosses, P, Scalar, walk_nodes
from alpharay.strategies.strategy import Integer, ParameterRange, Strategy

GROW_PROBABILITY = 0.7
"""Chance that a node which could be a leaf gets children."""

Constant = Callable[[Any], Scalar]


@dataclass(frozen=True, slots=True)
class RulePair:
    """An entry rule and an exit rule, each a `deap.gp.PrimitiveTree`."""

    enter: Any
    exit: Any

    def __len__(self) -> int:
        return len(self.enter) + len(self.exit)

    def __str__(self) -> str:
        return f"enter {self.enter} exit {self.exit}"


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seed the `random` module from whole numbers, and give its state back afterwards."""
    state = random.getstate()
    random.seed(repr(numbers))
    try:
        yield
    finally:
        random.setstate(state)


@cache
def _least_height(kind: type) -> int:
    """Return the height of the lowest tree of a type: 0 where it has a leaf."""
    grammar = rule_grammar()
    if grammar.terminals[kind]:
        return 0
    # Every condition has a primitive without conditions under it, so this ends.
    return 1 + min(
        max(_least_height(part) for part in primitive.args)
        for primitive in grammar.primitives[kind]
        if kind not in primitive.args
    )


def grow(kind: type, height: int) -> list[Any]:
    """Return the nodes of a random tree of a type, at most `height` high where its types allow that."""
    grammar = rule_grammar()
    primitives = [
        primitive
        for primitive in grammar.primitives[kind]
        if all(_least_height(part) < max(height, _least_height(kind)) for part in primitive.args)
    ]
    leaves = grammar.terminals[kind]
    if leaves and (not primitives or height <= 0 or random.random() > GROW_PROBABILITY):
        leaf = random.choice(leaves)
        return [leaf() if isinstance(leaf, gp.MetaEphemeral) else leaf]
    chosen = random.choice(primitives)
    return [chosen, *(node for part in chosen.args for node in grow(part, height - 1))]


def random_pair(height: int) -> RulePair:
    """Return a random entry and exit rule."""
    return RulePair(gp.PrimitiveTree(grow(Condition, height)), gp.PrimitiveTree(grow(Condition, height)))


def pair_from_text(enter: str, exit_: str) -> RulePair:
    """Return the pair of two trees as `str` writes them; raises ValueError for what the grammar does not know."""
    return RulePair(_tree_from_text(enter), _tree_from_text(exit_))


def _tree_from_text(text: str) -> Any:
    grammar = rule_grammar()
    nodes: list[Any] = []
    # What must come next, the last first.
    wanted: list[type] = [Condition]
    for word in re.findall(r"[^\s(),]+", text):
        kind = wanted.pop() if wanted else None
        node = grammar.mapping.get(word)
        if isinstance(node, gp.MetaEphemeral):
            # The name of a kind of constants, not one of them.
            node = None
        if node is None and word.isdigit() and kind in (Length, Percent):
            (constant,) = grammar.terminals[kind]
            node = constant()
            node.value = kind(word)
        if node is None or node.ret != kind:
            raise ValueError(f"{word[:40]!r} does not fit there in the evolved rule {text[:100]!r}")
        nodes.append(node)
        wanted += reversed(getattr(node, "args", ()))
    if wanted:
        raise ValueError(f"the evolved rule {text[:100]!r} ends too soon")
    return gp.PrimitiveTree(nodes)


def cross(first: RulePair, second: RulePair, most_nodes: int) -> RulePair:
    """Return `first` with a subtree of one of its rules replaced by one of the same type from either rule of `second`.

    A child of more than `most_nodes` nodes a rule is not made: `first` returns as it was.
    """
    donor = random.choice((second.enter, second.exit))

    def graft(tree: Any) -> Any:
        # In order of the nodes: a set of types would be ordered by memory addresses, and differ from run to run.
        places = [(i, j) for i in range(len(tree)) for j in range(len(donor)) if tree[i].ret == donor[j].ret]
        if not places:
            return tree
        here, there = random.choice(places)
        return _spliced(tree, here, donor[donor.searchSubtree(there)], most_nodes)

    return _change_one(first, graft)


def mutate(pair: RulePair, height: int, most_nodes: int) -> RulePair:
    """Return `pair` with one rule changed: a new subtree, another node of the same shape, or a subtree lifted up."""

    def change(tree: Any) -> Any:
        kind = random.random()
        if kind < 0.4:
            place = random.randrange(len(tree))
            return _spliced(tree, place, grow(tree[place].ret, height - 1), most_nodes)
        copy = gp.PrimitiveTree(list(tree))
        if kind < 0.8:
            return _replaced(copy)
        (shrunk,) = gp.mutShrink(copy)
        return shrunk

    return _change_one(pair, change)


def _replaced(tree: Any) -> Any:
    """Exchange one node for another that takes and gives the same types; a constant is drawn anew."""
    grammar = rule_grammar()
    place = random.randrange(len(tree))
    node = tree[place]
    if node.arity == 0:
        leaf = random.choice(grammar.terminals[node.ret])
        tree[place] = leaf() if isinstance(leaf, gp.MetaEphemeral) else leaf
    else:
        tree[place] = random.choice([one for one in grammar.primitives[node.ret] if one.args == node.args])
    return tree


def _change_one(pair: RulePair, change: Callable[[Any], Any]) -> RulePair:
    if random.random() < 0.5:
        return RulePair(change(pair.enter), pair.exit)
    return RulePair(pair.enter, change(pair.exit))


def _spliced(tree: Any, place: int, nodes: list[Any], most_nodes: int) -> Any:
    old = tree.searchSubtree(place)
    grown = [*tree[: old.start], *nodes, *tree[old.stop :]]
    return gp.PrimitiveTree(grown) if len(grown) <= most_nodes else tree


def fixed_strategy(pair: RulePair) -> Strategy:
    """Return the pair as a strategy without parameters, its constants as numbers: what the evolution evaluates."""
    return Strategy(
        name="EVOLVED",
        description=str(pair),
        parameters=(),
        enter=_condition(pair.enter, _number),
        exit=_condition(pair.exit, _number),
    )


def evolved_strategy(pair: RulePair) -> Strategy:
    """Return the pair as an ordinary strategy whose defaults are the evolved constants.

    Each distinct constant is one parameter, from half to twice its value for a length, 15 to both sides for a level: so
    the rule can be searched further, and validation can look at its neighbourhood. Its name follows from its rules.
    """
    parameters: dict[str, ParameterRange] = {}

    def parameter(value: Any) -> Scalar:
        number = int(value)
        if isinstance(value, Length):
            found = Integer(f"length_{number}", max(number // 2, 2), number * 2, default=number)
        else:
            found = Integer(f"level_{number}", max(number - 15, 1), min(number + 15, 99), default=number)
        parameters[found.name] = found
        return P.__getattr__(found.name)

    enter, leave = _condition(pair.enter, parameter), _condition(pair.exit, parameter)
    digest = hashlib.sha256(str(pair).encode()).hexdigest()[:8].upper()
    return Strategy(
        name=f"EVOLVED_{digest}",
        description=f"Evolved: enter when {pair.enter}; leave when {pair.exit}.",
        parameters=tuple(parameters.values()),
        enter=enter,
        exit=leave,
    )


def _number(value: Any) -> Scalar:
    return float(value)


def _condition(tree: Any, constant: Constant) -> Condition:
    grammar = rule_grammar()
    nodes = iter(tree)

    def build() -> Any:
        node = next(nodes)
        if node.arity > 0:
            parts = [build() for _ in range(node.arity)]
            return grammar.context[node.name](*parts)
        if isinstance(type(node), gp.MetaEphemeral):
            return constant(node.value)
        return grammar.context[node.value]

    built: Condition = build()
    return built


def is_pointless(strategy: Strategy) -> bool:
    """Tell whether a rule compares something with itself, or enters on the condition on which it leaves."""
    if strategy.enter == strategy.exit:
        return True
    nodes = (node for rule in strategy.rules for node in walk_nodes(rule))
    return any(node.left == node.right for node in nodes if isinstance(node, (Comparison, Crosses)))
