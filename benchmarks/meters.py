# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Peak memory above that of the loaded model, on the CPU and on a GPU."""

import ctypes
import os
import resource
from pathlib import Path

import torch


class CpuMeter:
    """
    Resident memory of this process (Linux; elsewhere the peak is `None`).

    The kernel's high-water mark is set back before a call. So are pages that the allocator holds but nobody uses: they
    would count for the next call.
    """

    def __init__(self):
        self.supported = os.access("/proc/self/clear_refs", os.W_OK)
        self.loaded = 0

    def synchronize(self) -> None:
        pass

    def set_loaded(self) -> None:
        """What is resident now is the loaded model."""
        if self.supported:
            trim()
            self.loaded = status("VmRSS")

    def start(self) -> None:
        if self.supported:
            trim()
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int | None:
        """Bytes since `start`."""
        return max(0, status("VmHWM") - self.loaded) if self.supported else None

    def limit(self) -> None:
        """Lets a call that needs more than the machine has fail, rather than the machine."""
        if self.supported:
            Path("/proc/self/oom_score_adj").write_text("1000")
            available = int(0.9 * read_kib(Path("/proc/meminfo"), "MemAvailable"))
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + available, hard))


class CudaMeter:
    """Memory of the GPU's tensors, by PyTorch's allocator."""

    def __init__(self):
        self.loaded = 0

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def set_loaded(self) -> None:
        self.loaded = torch.cuda.memory_allocated()

    def start(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() - self.loaded

    def limit(self) -> None:
        pass  # PyTorch raises


def read_kib(path: Path, field: str) -> int:
    """A field of a file of the kind `/proc/meminfo`, in bytes."""
    line = next(line for line in path.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def status(field: str) -> int:
    return read_kib(Path("/proc/self/status"), field)


def trim() -> None:
    ctypes.CDLL(None).malloc_trim(0)
