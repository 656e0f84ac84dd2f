# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What libsndfile cannot decode, such as M4A, AAC, MP4, WebM and WMA, decoded by FFmpeg's libraries, where PyAV is."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

try:  # only for formats that libsndfile does not know
    import av
except ImportError:
    av = None

REMEDY = "`pip install 'llm-codec-hf[formats]'` (PyAV) reads M4A, AAC, MP4, WebM, WMA and more; or convert the file"
# what may be read: none of the formats that name other files, such as playlists
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,mpc,mpc8,rm,dts,ogg,flac"
)
CONTAINERS += ",mp3,wav,avi,flv,mpeg,mpegts,dsf,iff,aiff,au,caf,w64,voc"
TOLERANCE = 0.2  # seconds by which containers misstate their length: paddings of encoders, rounding


class PyAVDecoder:
    """
    The audio of a file that FFmpeg's libraries know: of several streams the one that players choose.

    Args:
        file: It can seek, from its start on.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If there is no audio that it can decode.
    """

    def __init__(self, file: BinaryIO):
        if av is None:
            raise ImportError(f"PyAV is not installed: {REMEDY}.")
        try:
            options = {"format_whitelist": CONTAINERS}
            self._container = av.open(file, metadata_errors="ignore", container_options=options)
            self._stream = self._container.streams.best("audio")
            if self._stream is None:
                raise ValueError("it has no audio")
            self._frames = self._container.decode(self._stream)
            self._first = next(self._frames, None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise ValueError(_plain(error)) from error
        if self._first is None:
            raise ValueError("none of its audio can be decoded")
        self.samplerate, self.channels = self._first.sample_rate, self._first.layout.nb_channels
        duration = self._stream.duration and self._stream.duration * self._stream.time_base
        if not duration and self._container.duration:
            duration = self._container.duration / av.time_base
        self.stated = round(float(duration) * self.samplerate) if duration else None

    def blocks(self) -> Iterator[np.ndarray]:
        """
        Yields:
            float32, `(channels, samples)`.

        Raises:
            EOFError: If the file is damaged or ends before it says, behind what can be decoded.
            ValueError: If rate or channels change on the way.
        """
        resampler = av.AudioResampler(format="fltp", layout=self._first.layout, rate=self.samplerate)
        frame, count = self._first, 0
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.samplerate, self.channels):
                raise ValueError(
                    f"From sample {count} on it has {frame.layout.nb_channels} channels at {frame.sample_rate} Hz, "
                    f"before that {self.channels} at {self.samplerate} Hz: split it there."
                )
            for part in resampler.resample(frame):
                count += part.samples
                yield part.to_ndarray()
            try:
                frame = next(self._frames, None)
            except av.FFmpegError as error:
                raise EOFError(_plain(error)) from error
        if self.stated is not None and count < self.stated - TOLERANCE * self.samplerate:
            raise EOFError(f"its header states {self.stated} samples")

    def close(self) -> None:
        """Frees the decoder; the file stays open."""
        self._container.close()


def _plain(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


__all__ = ["PyAVDecoder"]
