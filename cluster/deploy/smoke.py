"""A short test of a live cluster: whether it answers, decides, and refuses strangers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.deploy.api import Api
from cluster.deploy.head import run_in_head
from cluster.deploy.manifests import Run

SERVE = "http://serving-serve-svc:8000"
JOBS = "http://serving-head-svc:8265/api/jobs/"
SECONDS = 120.0
_ACTIONS = ("BUY", "SELL", "HOLD")


@dataclass(frozen=True)
class Trial:
    """One question to the cluster: whether it answered as it should, and what it said."""

    name: str
    passed: bool
    said: str


def smoke_test(kubectl: Run, api: Api, key: str | None = None) -> list[Trial]:
    """Ask from the head's pod: health of each application, a signal at a market's last close, and a stranger's job.

    `key` is an API key with the scope to read and signal, where the applications ask for one.
    """
    headers = {} if key is None else {"X-API-Key": key}
    questions: list[list[object]] = [["GET", f"{SERVE}{path}/health", None, {}] for path in ("", "/risk", "/portfolio")]
    questions += [["GET", JOBS, None, {}], ["GET", f"{SERVE}/status", None, headers]]
    *healths, stranger, (status, known) = run_in_head(kubectl, api, "requests", questions, timeout_s=SECONDS)
    trials = [
        _trial(f"{name} is alive", answer, answer == [200, {"status": "alive"}])
        for name, answer in zip(("signal", "risk", "portfolio"), healths, strict=True)
    ]
    trials.append(_trial("a stranger without a token is refused jobs", stranger, stranger[0] in {401, 403}))
    markets = known.get("markets", ()) if status == 200 else ()
    if not markets:
        said = "no market yet: has a candle been stored? (status)" if status == 200 else _said([status, known])
        return [*trials, Trial("a signal is served", False, said)]
    market = markets[0]
    body = {"symbol": market["symbol"], "price": market["candle_close"]}
    question = [["POST", f"{SERVE}/generate_signal", body, headers]]
    (answer,) = run_in_head(kubectl, api, "requests", question, timeout_s=SECONDS)
    decided = answer[0] == 200 and answer[1].get("action") in _ACTIONS
    said = f"{market['symbol']} {answer[1]['action']}" if decided else _said(answer)
    return [*trials, Trial("a signal is served", decided, said)]


def _trial(name: str, answer: Any, passed: bool) -> Trial:
    return Trial(name, passed, _said(answer))


def _said(answer: Any) -> str:
    status, text = answer
    if status in {401, 403}:
        return f"{status}: refused"
    return f"{status}: {str(text)[:160]}" if status else f"no answer: {str(text)[:160]}"
