"""Where one shot ends and the next begins (PySceneDetect's adaptive detector)."""

from __future__ import annotations

from fractions import Fraction

from lib_ofgen.imaging import images
from lib_ofgen.system import libraries
from lib_ofgen.values import Frame, Image, Scene, Size

__all__ = ["CutFinder"]

WIDTH = 256
"""px: frames are shrunk to this before they are compared."""
WINDOW = 2
"""Frames on each side with which the detector compares a change."""


class CutFinder:
    """The scenes of frames that are shown to it one by one; keeps none of them.

    A cut is a frame whose change from the one before is `threshold` times that of its neighbours.
    """

    def __init__(self, threshold: float = 3.0) -> None:
        """Stand before the first frame."""
        # Imported here: it takes as long as all the rest of the package.
        with libraries.explain_imports():
            from scenedetect import FrameTimecode
            from scenedetect.detectors import AdaptiveDetector

        self._timecode = FrameTimecode
        self._detector = AdaptiveDetector(
            adaptive_threshold=threshold, min_scene_len=1, window_width=WINDOW
        )
        self._shown = 0
        self._seen = 0
        self._last: Image | None = None
        self._cuts: set[int] = set()

    def see(self, frame: Frame) -> None:
        """Take the next frame in."""
        small = self._small(frame)
        if self._last is None:
            # The detector judges a frame by its neighbours on both sides. The first frame stands
            # for those before it, and the last one, in `scenes`, for those after it.
            for _ in range(WINDOW):
                self._show(small)
        self._show(small)
        self._last = small
        self._seen += 1

    def scenes(self) -> tuple[Scene, ...]:
        """All frames seen, cut into scenes; to be asked once, after the last frame."""
        if self._last is not None:
            for _ in range(WINDOW):
                self._show(self._last)
        starts = [0, *sorted(cut for cut in self._cuts if 0 < cut < self._seen)]
        stops = [*starts[1:], self._seen]
        return tuple(Scene(*ends) for ends in zip(starts, stops, strict=True)) if self._seen else ()

    def _show(self, small: Image) -> None:
        """Let the detector look at a picture and note what it says."""
        moment = self._timecode(self._shown, fps=Fraction(25))
        for cut in self._detector.process_frame(moment, small):
            self._cuts.add(cut.frame_num - WINDOW)
        self._shown += 1

    @staticmethod
    def _small(frame: Frame) -> Image:
        """The frame as the detector wants it: few pixels, OpenCV's order of channels."""
        height, width = frame.image.shape[:2]
        image = frame.image
        if width > WIDTH:
            image = images.resize(image, Size(max(1, round(height * WIDTH / width)), WIDTH))
        return images.to_bgr(image)
