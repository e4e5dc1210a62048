"""Settings of every kind, for hypothesis."""

from __future__ import annotations

import typing

from hypothesis import strategies as st

from lib_ofgen.settings.fields import Settings, choices


def _values(name: str) -> st.SearchStrategy[object]:
    """Values that the setting takes."""
    choice, kind = choices()[name], str(typing.get_type_hints(Settings)[name])
    low, high = choice.low, choice.high
    if choice.options:
        return st.sampled_from(choice.options)
    if "tuple" in kind:
        return st.sets(st.integers(0, 10**6), max_size=5).map(lambda s: tuple(sorted(s)))
    if "bool" in kind:
        return st.booleans()
    if "int" in kind:
        by = 8 if name in ("width", "height", "hole_box") else 1
        top = 10**6 if high is None else int(high)
        return st.integers(-(-int(low or 0) // by), top // by).map(lambda n: n * by)
    if "float" in kind:
        return st.floats(low or 0, high if high is not None else 1e6)
    if name == "control_units":
        return st.lists(st.sampled_from(_UNITS), max_size=3).map("\n".join)
    return st.text(max_size=40)


_UNITS = ["reference_only", "canny / some model weight=0.5 end=0.75", "tile / a [0123abcd]", ""]
_NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{2,30}( \[[0-9a-f]{10}\])?", fullmatch=True)


@st.composite
def any_settings(draw: st.DrawFn, names_only: bool = False) -> Settings:
    """Settings of every kind; with `names_only` the host's things have names as the host gives."""
    names = draw(st.sets(st.sampled_from(Settings.names())))
    changes = {name: draw(_values(name)) for name in sorted(names)}
    if names_only:
        texts = [name for name, value in changes.items() if isinstance(value, str)]
        plain = [name for name in texts if not (choices()[name].options or choices()[name].long)]
        changes |= {name: draw(_NAME) for name in plain}
    if "end" in changes:
        changes["end"] = 0.0
    if "key_gap_min" in changes or "key_gap_max" in changes:
        changes |= {"key_gap_min": 1.0, "key_gap_max": 2.0}
    return Settings().replace(changes)
