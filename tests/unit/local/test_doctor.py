from __future__ import annotations

import os
import platform
import shutil
import sys
from types import SimpleNamespace

import psutil
import pytest

from cluster.local import doctor
from cluster.local.doctor import GIBIBYTE, examine


@pytest.fixture(autouse=True)
def no_container_limit(monkeypatch):
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: 8 * GIBIBYTE)
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def verdict(tmp_path, name):
    return next(finding for finding in examine(tmp_path / ".alpharay") if finding.name == name)


def test_every_problem_has_a_fix(tmp_path):
    findings = examine(tmp_path / ".alpharay")
    assert len({finding.name for finding in findings}) == len(findings) == 10
    assert all(bool(finding.fix) == (finding.verdict != "fine") for finding in findings)
    assert not (tmp_path / ".alpharay").exists()


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "x86_64"), ("Linux", "riscv64"), ("Windows", "AMD64")])
def test_platform_without_ray_blocks(tmp_path, monkeypatch, system, machine):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert verdict(tmp_path, "platform").verdict == "blocking"


def test_old_python_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    assert verdict(tmp_path, "Python").verdict == "blocking"


@pytest.mark.parametrize(("gibibytes", "expected"), [(1.9, "blocking"), (3.9, "warning"), (4.0, "fine")])
def test_memory_verdict_follows_what_is_available(tmp_path, monkeypatch, gibibytes, expected):
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: int(gibibytes * GIBIBYTE))
    assert verdict(tmp_path, "memory").verdict == expected


@pytest.mark.parametrize(("gibibytes", "expected"), [(0.9, "blocking"), (2.9, "warning"), (3.0, "fine")])
def test_disk_verdict_follows_what_is_free(tmp_path, monkeypatch, gibibytes, expected):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(gibibytes * GIBIBYTE)))
    assert verdict(tmp_path, "disk").verdict == expected


def test_small_shared_memory_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 1024**2))
    assert "--shm-size" in verdict(tmp_path, "shared memory").fix


def test_proxy_without_an_exemption_warns(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert verdict(tmp_path, "proxy").verdict == "warning"
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert verdict(tmp_path, "proxy").verdict == "fine"


def test_generic_variable_warns_with_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092")
    assert "ALPHARAY_" in verdict(tmp_path, "variables").fix


def test_user_without_a_name_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert verdict(tmp_path, "account").verdict == "blocking"


def test_available_memory_is_at_most_the_machines():
    assert 0 < doctor.available_memory_bytes() <= psutil.virtual_memory().total
