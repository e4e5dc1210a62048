from collections.abc import Mapping

Headers = Mapping[str, str]
