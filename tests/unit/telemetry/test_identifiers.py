"""Ids that are made: new ones each, in every thread and in a forked process."""

from __future__ import annotations

import os
import re
import threading

from alpharay.telemetry.identifiers import new_identifier


def test_every_identifier_is_new_and_32_digits_long() -> None:
    made = [new_identifier() for _ in range(2000)]
    assert len(set(made)) == 2000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_threads_do_not_share_one() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(into: list[str]) -> None:
        into += [new_identifier() for _ in range(3000)]

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for into in made for one in into}) == 12_000


def test_a_forked_process_makes_its_own() -> None:
    new_identifier()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "\n".join(new_identifier() for _ in range(20)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        theirs = set(answers.read().splitlines())
    assert len(theirs) == 20
    assert not theirs & {new_identifier() for _ in range(1000)}
