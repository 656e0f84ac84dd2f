# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What is measured on: a description, and the best rate of its matrix products."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .meters import read_kib


def describe(device: str) -> dict:
    """Fields of the machine and of the software, for a reader; nothing that names the machine."""
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        machine = {"device": properties.name, "memory_gb": round(properties.total_memory / 1e9)}
    else:
        affinity = getattr(os, "sched_getaffinity", None)
        machine = {
            "device": cpu_model(),
            "cores": len(affinity(0)) if affinity else os.cpu_count(),
            "threads": torch.get_num_threads(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "mkldnn": torch.backends.mkldnn.is_available(),
            "memory_gb": None,
        }
        if Path("/proc/meminfo").exists():
            machine["memory_gb"] = round(read_kib(Path("/proc/meminfo"), "MemTotal") / 1e9)
    packages = {name: package_version(name) for name in ("torch", "transformers", "snac")}
    return {**machine, "python": platform.python_version(), **packages}


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@torch.inference_mode()
def matrix_product_rate(device: str, dtype: str = "float32", quick: bool = False) -> float:
    """
    Operations a second, two a multiply-add, of products of square matrices: the best of several sizes, three runs each.
    The quick way takes one size, near the best.
    """
    best = 0.0
    quick_size, sizes = (8192, (2048, 4096, 8192, 16384)) if device == "cuda" else (2048, (512, 1024, 2048, 4096))
    for size in (quick_size,) if quick else sizes:
        left, right = torch.randn(2, size, size, device=device).to(getattr(torch, dtype))
        for _ in range(3):
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            left @ right
            if device == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
