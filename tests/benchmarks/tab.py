"""What the tab costs in a real webui, and how soon its page answers while a plan is made.

    python -m tests.benchmarks.tab CLIP FILM [--rounds 3]

It needs OFGEN_WEBUI and OFGEN_WEBUI_PYTHON, playwright and a Chromium (OFGEN_CHROMIUM).

`plan`: seconds from handing over the clip to its drawn plan; meanwhile, over and over, a key is
typed into the prompt, which takes until the page has drawn it, and the server is asked for what is
new, which takes until its answer is on the page.

`live`: a film of FILM is made with the page in view and without it, in turn. Counted are CPU
seconds of the webui's process from the beginning of a job to its end, so that neither the browser
nor other programs count; what the page costs is the difference.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import browser
from support.browser import LONG, fill
from support.webui.host import PYTHON, SUPPORT, Host, waited

TINY = SUPPORT / "tiny_checkpoint.py"
TYPED = """async () => {
    const field = document.querySelector("#ofgen_prompt textarea");
    const begun = performance.now();
    field.value += "a";
    field.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    return performance.now() - begun;
}"""
ASKED = """async () => {
    const at = () => document.querySelector("#ofgen_beat [data-beat]")?.dataset.beat;
    const before = at(), begun = performance.now();
    document.getElementById("ofgen_look").click();
    while (at() === before) await new Promise((done) => setTimeout(done, 1));
    return performance.now() - begun;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path, help="a clip to plan")
    parser.add_argument("film", type=Path, help="a clip to make films of")
    parser.add_argument("--rounds", type=int, default=3, help="films with and without the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser.started() as chromium:
        models = Path(folder, "models")
        subprocess.run([PYTHON, "-W", "ignore", TINY, models], check=True)
        host = Host(Path(folder, "data"), models, "--api")
        try:
            host.ready("Model loaded in")
            host.outputs.mkdir(parents=True, exist_ok=True)
            plan(chromium, host, options.clip)
            live(chromium, host, Path(shutil.copy(options.film, host.outputs)), options.rounds)
        finally:
            host.close()


def plan(chromium: Any, host: Host, clip: Path) -> None:
    """Print how long a plan takes, and what the page took to answer meanwhile."""
    typed, asked = [], []
    with browser.tab_of(chromium, host.port) as page:
        page.set_input_files("#ofgen_upload input[type=file]", clip)
        begun = time.perf_counter()
        page.click("#ofgen_plan")
        while not page.locator("#ofgen_plan_view button.key").count():
            typed.append(page.evaluate(TYPED))
            asked.append(page.evaluate(ASKED))
        seconds = time.perf_counter() - begun
    print(f"plan of {clip.name}: {seconds:.1f} s")
    for what, found in (("typed", typed), ("asked", asked)):
        print(
            f"  {what}: {len(found)} times, median {statistics.median(found):.0f} ms, "
            f"largest {max(found):.0f} ms"
        )


def live(chromium: Any, host: Host, clip: Path, rounds: int) -> None:
    """Print CPU seconds of a film with its page in view and without."""
    with_page, without = [], []
    for turn in range(2 * rounds):
        seen = turn % 2 == 0
        with browser.tab_of(chromium, host.port) as page:
            fill(page, path=clip, seed=100 + turn, steps=2, end=1)
            count = len(jobs(host))
            spent = host.cpu_seconds()
            page.click("#ofgen_generate")
            waited(lambda count=count: len(jobs(host)) > count, "job")
            if not seen:
                page.close()
            waited(ended(host), "end of the job", 20 * LONG)
            (with_page if seen else without).append(host.cpu_seconds() - spent)
    for what, found in (("page in view", with_page), ("no page", without)):
        print(f"{what}: " + ", ".join(f"{each:.1f}" for each in found) + " CPU s")
    more = statistics.median(with_page) / statistics.median(without) - 1
    print(f"the page costs {100 * more:.1f} % of a job")


def jobs(host: Host) -> list[dict[str, Any]]:
    return host.call("/ofgen/v1/jobs").body


def ended(host: Host) -> Callable[[], bool]:
    """Whether the newest job has; asked seldom, for asking costs too."""

    def newest() -> bool:
        time.sleep(1)
        return jobs(host)[-1]["state"] not in ("waiting", "running")

    return newest


if __name__ == "__main__":
    main()
