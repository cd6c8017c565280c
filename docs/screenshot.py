"""A picture of a view of the explorer, from a file that `rpax explore --export` wrote or from the address it serves.

    python docs/screenshot.py explorer.html '#/grid/0?row=0&column=1' explorer.png
    python docs/screenshot.py http://127.0.0.1:8421/ '#/run/0' run.png --width 900 --theme dark

Needs Chromium and the package playwright.
"""

import argparse
import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

#: Milliseconds in which a view must be complete.
PATIENCE = 120_000
COMPLETE = "() => document.querySelector('h1') !== null && document.querySelector('.state, .muted.state') === null"


def main() -> None:
    """Open the view, wait until it is complete, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help="a file, or an address")
    parser.add_argument("view", help="what follows in the address, from # on")
    parser.add_argument("picture", type=pathlib.Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    parser.add_argument("--whole", action="store_true", help="the whole page, however long")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is missing; on Debian: apt-get install chromium")
    address = options.page if "://" in options.page else pathlib.Path(options.page).resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        size = {"width": options.width, "height": options.height}
        page = browser.new_page(viewport=size, color_scheme=options.theme, device_scale_factor=2)
        page.goto(address + options.view)
        page.wait_for_function(COMPLETE, timeout=PATIENCE)
        page.wait_for_timeout(500)
        page.screenshot(path=options.picture, full_page=options.whole)
        browser.close()


if __name__ == "__main__":
    main()
