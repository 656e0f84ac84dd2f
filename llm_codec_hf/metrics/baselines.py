# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Codecs without weights that audio is also written by: Opus, Speex and Codec2 at their lowest rates.

Each takes and gives audio at 16 kHz, resampled by soxr where the codec has another rate, and says how many bits it
wrote.
"""

import io
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

RATE = 16000  # Hz
TIMEOUT = 60  # seconds for a clip
SLACK = 2  # samples that resampling there and back may lose at the end


class Coded(NamedTuple):
    """
    Audio that went through a codec.

    Attributes:
        samples: float32, `(samples,)` at 16 kHz, as many as went in, in −1 … 1.
        bits: What the codec wrote, without a container's headers; `None` for what is no codec.
    """

    samples: np.ndarray
    bits: float | None


class Baseline(NamedTuple):
    """
    Attributes:
        title: For a table.
        code: float32 `(samples,)` at 16 kHz → [`Coded`].
    """

    title: str
    code: Callable[[np.ndarray], Coded]


def narrow_band(samples: np.ndarray) -> Coded:
    """No codec: what is left at 8 kHz, which no codec of that rate can surpass."""
    narrow = soxr.resample(samples, RATE, 8000)
    return Coded(as_long(soxr.resample(narrow, 8000, RATE), len(samples)), None)


def opus_by_soundfile(samples: np.ndarray) -> Coded:
    """Opus at the lowest rate of libsndfile: 6 kbit/s, variable, frames of 20 ms."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="OGG", subtype="OPUS", compression_level=1.0)
    ogg = file.getvalue()
    decoded, rate = soundfile.read(io.BytesIO(ogg), dtype="float32")
    return Coded(as_long(soxr.resample(decoded, rate, RATE), len(samples)), ogg_bits(ogg))


def by_program(
    samples: np.ndarray,
    encode: Sequence[str],
    decode: Sequence[str],
    count_bits: Callable[[bytes], int],
    rate: int = RATE,
    delay: int = 0,
    frame: int = 1,
) -> Coded:
    """
    A codec that programs read from standard input and write to standard output: raw 16-bit audio, and its own format.

    Args:
        samples: float32, `(samples,)` at 16 kHz.
        encode: The command that encodes.
        decode: The command that decodes.
        count_bits: The encoder's output → its bits, without headers.
        rate: Hz of the codec.
        delay: Samples at `rate` by which it answers late and which the decoder does not take away itself. They are
            taken away here, as measures that compare with the original suffer from a shift of a few milliseconds.
        frame: Samples at `rate`; what does not fill one is filled with zeros, as the program drops it.

    Raises:
        FileNotFoundError: where the program is not installed.
        ValueError: where the program fails, or gives back less audio than it got.
    """
    narrow = soxr.resample(samples, RATE, rate)
    length = -(-(len(narrow) + delay) // frame) * frame
    pcm = np.round(np.pad(narrow, (0, length - len(narrow))).clip(-1, 1) * 32767).astype("<i2")
    coded = run(encode, pcm.tobytes())
    decoded = np.frombuffer(run(decode, coded), "<i2")[delay:].astype(np.float32) / 32768
    return Coded(as_long(soxr.resample(decoded, rate, RATE), len(samples)), count_bits(coded))


def run(command: Sequence[str], data: bytes) -> bytes:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"the program {command[0]} is not installed")
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise ValueError(f"{command[0]} ended with {done.returncode} and said: {said[-1]}")
    return done.stdout


def as_long(samples: np.ndarray, length: int) -> np.ndarray:
    """
    Cuts what a codec gave back to the length of what it got, and clips it as a 16-bit file would.

    Raises:
        ValueError: where it gave back less: silence in place of it would be scored as if it were the codec's.
    """
    if len(samples) < length - SLACK:
        raise ValueError(f"the codec gave back {len(samples)} of {length} samples")
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).clip(-1, 1).astype(np.float32)


def ogg_bits(ogg: bytes) -> int:
    """
    Bits of the packets in an Ogg file of one stream (RFC 3533, section 6), without pages' headers and without the first
    two packets, which Opus and Speex fill with their own headers and comments, each alone on its page.

    Raises:
        ValueError: for what is no Ogg file.
    """
    pages, start = [], 0
    while start < len(ogg):
        if ogg[start : start + 4] != b"OggS":
            raise ValueError(f"there is no page of an Ogg file at byte {start} of {len(ogg)}")
        segments = ogg[start + 26]
        size = sum(ogg[start + 27 : start + 27 + segments])
        pages.append(size)
        start += 27 + segments + size
    return 8 * sum(pages[2:])


def _ffmpeg(rate: int, *options: str, **kwargs) -> Callable[[np.ndarray], Coded]:
    """A codec of ffmpeg in an Ogg file."""
    quiet, raw = ("ffmpeg", "-v", "error"), ("-f", "s16le", "-ar", str(rate), "-ac", "1")
    return partial(
        by_program,
        encode=[*quiet, *raw, "-i", "-", *options, "-f", "ogg", "-"],
        decode=[*quiet, "-f", "ogg", "-i", "-", *raw, "-"],
        count_bits=ogg_bits,
        rate=rate,
        **kwargs,
    )


def _codec2(mode: str, **kwargs) -> Callable[[np.ndarray], Coded]:
    """A mode of Codec2, 8 kHz. A character a bit, as whole bytes would round some modes' frames up."""
    return partial(
        by_program,
        encode=["c2enc", mode, "-", "-", "--bitperchar"],
        decode=["c2dec", mode, "-", "-", "--bitperchar"],
        count_bits=len,
        rate=8000,
        **kwargs,
    )


# The delays of Speex and Codec2 are those which give the best STOI on nine clips of `pocketsphinx-testdata` and
# `fillets-ng-data-nl`, within 1 ms; the programs do not tell them. Opus's decoders take its delay away.
# Below 3 kbit/s Opus gives next to nothing: STOI 0.27 at 2 kbit/s. Its variable rate does not go below 4 kbit/s, and is
# worse there than the constant 3 kbit/s.
BASELINES = {
    "narrow-band": Baseline("8 kHz, no codec", narrow_band),
    "opus-6": Baseline("Opus, 6 kbit/s", opus_by_soundfile),
    "opus-3": Baseline(
        "Opus, 3 kbit/s",
        _ffmpeg(RATE, *"-c:a libopus -application voip -frame_duration 60 -vbr off -b:a 3000".split()),
    ),
    "speex-2": Baseline("Speex, 2.15 kbit/s", _ffmpeg(8000, *"-c:a libspeex -cbr_quality 0".split(), delay=96)),
    "codec2-2400": Baseline("Codec2, 2400 bit/s", _codec2("2400", frame=160, delay=160)),
    "codec2-1200": Baseline("Codec2, 1200 bit/s", _codec2("1200", frame=320, delay=160)),
    "codec2-700c": Baseline("Codec2, 700C", _codec2("700C", frame=320, delay=232)),
}


def why_left_out(baseline: Baseline) -> str | None:
    """Why a baseline cannot run here, or `None` where half a second of noise goes through it."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, RATE // 2).astype(np.float32)
    try:
        baseline.code(noise)
    except Exception as error:  # a program that is missing, too old, or built without the codec
        return f"{type(error).__name__}: {error}"
