"""Mutation testing: change the kernel, the metrics and the validation one place at a time; the tests must notice.

    python -m tests.mutation --module walk metrics --sample 60 --json

Works on a copy of the repository. A survivor is a missing test, or changes nothing that can be seen: those stand in
`equivalent.toml` with their reason and do not count. `share` is killed / mutants.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path

from tests.mutation.sites import Mutant, mutants
from tests.mutation.targets import TARGETS, Target
from tests.mutation.trial import Verdict, prepare, try_mutant

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def copy_repository(folder: Path) -> None:
    """Copy what the tests need to `folder` and go on from there; compiled code stays valid, since times are kept."""
    here = Path(__file__).resolve().parents[2]
    for name in ("alpharay", "tests"):
        shutil.copytree(here / name, folder / name)
    shutil.copy2(here / "pyproject.toml", folder)
    os.chdir(folder)
    sys.path.insert(0, str(folder))


def reason_of(mutant: Mutant, path: str, known: list[dict[str, str]]) -> str | None:
    """Return why a mutant is equivalent to what it was made from; None when nobody says so."""
    for entry in known:
        if not fnmatch(path, entry["path"]) or entry["line"] not in mutant.text:
            continue
        if "before" in entry and (mutant.before, mutant.after) != (entry["before"], entry["after"]):
            continue
        return entry["reason"]
    return None


def run_target(
    name: str, target: Target, options: argparse.Namespace, known: list[dict[str, str]]
) -> dict[str, object]:
    """Try a sample of one module's mutants; return its figures. Call it in a process that has imported none of it."""
    prepare(target)
    source = Path(target.path).read_bytes()
    everything = list(mutants(source))
    counted = [mutant for mutant in everything if reason_of(mutant, target.path, known) is None]
    verdict, seconds = try_mutant(target, source, 600, options.examples)
    if verdict is not Verdict.SURVIVED:
        raise RuntimeError(f"the tests of {name} do not pass as they are ({verdict}): {' '.join(target.tests)}")
    limit = int(2 * seconds) + 3
    chosen = sorted(random.Random(options.seed).sample(range(len(counted)), min(options.sample, len(counted))))
    verdicts: Counter[Verdict] = Counter()
    survivors = []
    for place in chosen:
        mutant = counted[place]
        verdict, _ = try_mutant(target, mutant.source, limit, options.examples)
        verdicts[verdict] += 1
        if verdicts.total() % 20 == 0:
            print(f"{name}: {verdicts.total()} of {len(chosen)}", file=sys.stderr, flush=True)
        if verdict is Verdict.SURVIVED:
            survivors.append(f"{target.path}:{mutant.line}: {mutant.before} -> {mutant.after}")
            print(f"survived {survivors[-1]}", file=sys.stderr, flush=True)
    killed = verdicts[Verdict.KILLED] + verdicts[Verdict.TIMEOUT]
    return {
        "module": target.path,
        "possible": len(everything),
        "equivalent": len(everything) - len(counted),
        "mutants": len(chosen),
        "killed": killed,
        "timeouts": verdicts[Verdict.TIMEOUT],
        "share": round(killed / len(chosen), 4),
        "survivors": survivors,
    }


def in_own_process(name: str, options: argparse.Namespace, known: list[dict[str, str]]) -> dict[str, object]:
    """Return the figures of one module: what one target runs as Python another needs compiled."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as process:
        return process.submit(run_target, name, TARGETS[name], options, known).result()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--module", nargs="+", choices=TARGETS, default=list(TARGETS), help="default: all")
    parser.add_argument("--sample", type=int, default=60, help="mutants of each module at most")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--examples", type=int, default=12, help="of each Hypothesis test")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    known = tomllib.loads(EQUIVALENT.read_text())["equivalent"]
    with tempfile.TemporaryDirectory(prefix="alpharay-mutants-") as folder:
        copy_repository(Path(folder))
        modules = [in_own_process(name, options, known) for name in options.module]
    total, killed = (sum(int(str(row[name])) for row in modules) for name in ("mutants", "killed"))
    figures = {"mutants": total, "killed": killed, "share": round(killed / total, 4), "seed": options.seed}
    if options.json:
        print(json.dumps({**figures, "modules": modules}, indent=2))
        return
    for row in modules:
        print(
            f"{row['module']}: {row['killed']} of {row['mutants']} killed ({row['share']:.1%}), "
            f"{row['equivalent']} of {row['possible']} equivalent"
        )
    print(f"{killed} of {total} killed ({killed / total:.1%})")


if __name__ == "__main__":
    main()
