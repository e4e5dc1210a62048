"""Cuts between scenes, by the adaptive detector of PySceneDetect."""

from __future__ import annotations

from fractions import Fraction

from lib_ofgen.imaging import images
from lib_ofgen.system import libraries
from lib_ofgen.values import Frame, Image, Scene, Size

__all__ = ["CutFinder"]

WIDTH = 256
"""px: width to which frames are shrunk before they are compared."""
WINDOW = 2
"""Frames on each side with which the detector compares a change."""


class CutFinder:
    """Finds the scenes of frames that are added one by one; no frame is kept.

    A cut is before a frame whose change from the last one is `threshold` times that of its
    neighbours.
    """

    def __init__(self, threshold: float = 3.0) -> None:
        """Start without a frame."""
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

    def add(self, frame: Frame) -> None:
        """Add the next frame."""
        small = self._shrink(frame)
        if self._last is None:
            # The detector judges a frame by its neighbours on both sides. The first frame is
            # repeated for those before it, and the last one, in `scenes`, for those after it.
            for _ in range(WINDOW):
                self._feed_detector(small)
        self._feed_detector(small)
        self._last = small
        self._seen += 1

    def scenes(self) -> tuple[Scene, ...]:
        """Return the scenes of all added frames. Call it once, after the last frame."""
        if self._last is not None:
            for _ in range(WINDOW):
                self._feed_detector(self._last)
        starts = [0, *sorted(cut for cut in self._cuts if 0 < cut < self._seen)]
        stops = [*starts[1:], self._seen]
        return tuple(Scene(*ends) for ends in zip(starts, stops, strict=True)) if self._seen else ()

    def _feed_detector(self, small: Image) -> None:
        """Give the detector a picture, and note the cuts that it finds."""
        moment = self._timecode(self._shown, fps=Fraction(25))
        for cut in self._detector.process_frame(moment, small):
            self._cuts.add(cut.frame_num - WINDOW)
        self._shown += 1

    @staticmethod
    def _shrink(frame: Frame) -> Image:
        """Return the frame for the detector: at most `WIDTH` px wide, channels as in OpenCV."""
        height, width = frame.image.shape[:2]
        image = frame.image
        if width > WIDTH:
            image = images.resize(image, Size(max(1, round(height * WIDTH / width)), WIDTH))
        return images.to_bgr(image)
