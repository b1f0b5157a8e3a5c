"""Recordings of phones and browsers (m4a, 3gp, webm, caf), decoded by FFmpeg through PyAV."""

from __future__ import annotations

from io import BytesIO, FileIO

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import AudioError

FASTEST_HZ = 768_000
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,amr,caf,asf,aiff,wav,mp3,flac"
"""Containers that are opened: none that names other files or addresses, as playlists do."""


def decode_with_av(
    stream: BytesIO | FileIO, shown: str, longest_s: float
) -> tuple[NDArray[np.float32], int] | None:
    """Decode the first sound track of a file to mono, the mean of its channels.

    Args:
        stream: The file, at its beginning.
        shown: What to call it in a message.
        longest_s: A longer recording is refused, seconds.

    Returns:
        Samples (n,), full scale 1, and samples a second; None for a file that is of none of these
        kinds, and where PyAV is not installed.

    Raises:
        AudioError: If it holds no sound, is damaged, or is longer.
    """
    try:
        import av
    except ImportError:
        return None
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": ""}
    try:
        container = av.open(stream, "r", options=options)
    except (av.FFmpegError, ValueError):
        return None
    blocks: list[NDArray[np.float32]] = []
    frames = 0
    with container:
        if not container.streams.audio:
            raise AudioError(f"{shown} holds no sound", expected="a recording")
        track = container.streams.audio[0]
        rate = int(track.rate or 0)
        if not 0 < rate <= FASTEST_HZ:
            raise AudioError(
                f"{shown} has {rate:,} samples a second", expected=f"at most {FASTEST_HZ:,}"
            )
        planar = av.AudioResampler(format="fltp", rate=rate)
        try:
            for packet in container.decode(track):
                for frame in planar.resample(packet):
                    block = frame.to_ndarray().mean(axis=0, dtype=np.float32)
                    blocks.append(block)
                    frames += len(block)
                    if frames > longest_s * rate:
                        raise AudioError(
                            f"{shown} is longer than {longest_s / 60:.0f} minutes",
                            remedy="cut out a part of it",
                        )
        except (av.FFmpegError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error)
            raise AudioError(
                f"{shown} does not decode ({reason})",
                expected="a recording that plays elsewhere too",
            ) from None
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32), rate
