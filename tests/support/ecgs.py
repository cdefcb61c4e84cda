"""Synthetic ECGs that look real: sums of Gaussian waves per beat, after McSharry's model (10.1109/TBME.2003.808805).

`python -m tests.support.ecgs` draws the picture of the documentation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.ecgs.plot import PaperScale, render_plot
from domain.ecgs import Lead

RATE: Final = 500
"""Samples a second."""
GAIN: Final = 1000
"""Units a millivolt: 1 µV each."""

WAVES: Final = {"P": (-0.17, 0.022), "Q": (-0.028, 0.008), "R": (0.0, 0.011), "S": (0.03, 0.010), "T": (0.27, 0.045)}
"""The centre of each wave, in seconds from the R wave, and its standard deviation."""

AMPLITUDES: Final = {
    "I": (0.09, -0.06, 0.70, -0.12, 0.22),
    "II": (0.15, -0.09, 1.15, -0.20, 0.32),
    "V1": (0.06, 0.00, 0.25, -0.95, -0.10),
    "V2": (0.07, 0.00, 0.45, -1.45, 0.45),
    "V3": (0.07, 0.00, 0.85, -1.00, 0.50),
    "V4": (0.08, -0.08, 1.50, -0.60, 0.45),
    "V5": (0.08, -0.12, 1.40, -0.30, 0.36),
    "V6": (0.08, -0.12, 1.05, -0.12, 0.28),
}
"""Millivolts of P, Q, R, S and T."""


def beats(seconds: float) -> NDArray[np.float64]:
    """Returns the times of the R waves: 72 beats a minute, varied a little by breathing."""
    times = [0.45]
    while times[-1] < seconds + 1:
        times.append(times[-1] + 60 / 72 + 0.03 * np.sin(2 * np.pi * times[-1] / 4))
    return np.array(times)


def millivolts(name: str, seconds: float, rate: float = RATE) -> NDArray[np.float64]:
    """Returns a lead without noise. The limb leads III to aVF follow from I and II by Einthoven and Goldberger."""
    if name in AMPLITUDES:
        times = np.arange(round(seconds * rate)) / rate
        waves = zip(AMPLITUDES[name], WAVES.values(), strict=True)
        parts = [
            amplitude * np.exp(-(((times - beat - centre) / width) ** 2) / 2)
            for amplitude, (centre, width) in waves
            for beat in beats(seconds)
        ]
        total: NDArray[np.float64] = np.stack(parts).sum(axis=0)
        return total
    one, two = millivolts("I", seconds, rate), millivolts("II", seconds, rate)
    return {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}[name]


PICTURE: Final = Path(__file__).parent.parent.parent / "docs" / "ecg.svg"

TWELVE: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def recorded(name: str, seconds: float, rate: float = RATE) -> Lead:
    """Returns a lead as a device records it: 1 µV a unit, with noise and a baseline that wanders."""
    signal = millivolts(name, seconds, rate)
    times = np.arange(len(signal)) / rate
    random = np.random.default_rng(TWELVE.index(name))
    noise = random.normal(0, 0.006, len(signal)) + 0.03 * np.sin(2 * np.pi * times / 4.3 + TWELVE.index(name))
    return Lead(name, np.round(GAIN * (signal + noise)).astype(np.int16))


def draw_picture() -> bytes:
    """Returns the picture of the documentation: twelve leads on ECG paper."""
    return render_plot([recorded(name, 10, 200) for name in TWELVE], PaperScale(200, GAIN))


if __name__ == "__main__":
    PICTURE.write_bytes(draw_picture())
