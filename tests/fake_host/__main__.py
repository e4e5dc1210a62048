"""`python tests/fake_host --port N --data DIR`: the extension's tab without a webui.

Runs in an environment with gradio (`requirements.txt`). `modules/` has the names of the webui that
the extension uses, and no others; its painting is that of `lib_ofgen.models.painters.brush`.
"""

from __future__ import annotations

import page

if __name__ == "__main__":
    page.serve()
