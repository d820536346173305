"""The README's pictures, from the demo's own pages in Chromium: `make pictures`.

Takes the team in ./demo, and makes it first where there is none: one to three minutes, like `make demo`.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLONE = ROOT / "demo" / "flights"
PICTURES = ROOT / "docs" / "pictures"
PUSHFORWARD = Path(sys.executable).parent / "pushforward"
PAGE = "pull/2.html"  # the demo's true improvement
WINDOW = "1280,800"
MOST_BYTES = 300_000
# Chromium's own numbers for what a page asks as prefers-color-scheme.
SCHEMES = {"light": 1, "dark": 0}


def chromium() -> str:
    """The browser on PATH."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("pictures: there is no chromium on PATH; apt-get install chromium")
    return found


def photograph(browser: str, page: Path, scheme: str, scratch: Path) -> Path:
    """The upper part of a page, as a PNG of that scheme."""
    picture = PICTURES / f"{page.parent.name}-{scheme}.png"
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    words += [f"--user-data-dir={scratch / scheme}", f"--window-size={WINDOW}", f"--screenshot={picture}"]
    words += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", page.as_uri()]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return picture


def main() -> None:
    """Export the pages of the demo, and photograph one of them in light and dark."""
    browser = chromium()
    if not CLONE.exists():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "demo.py")], check=True)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        # by this checkout, also where the demo was made by one before
        subprocess.run([str(PUSHFORWARD), "web", "--export", str(site)], cwd=CLONE, check=True)
        for scheme in SCHEMES:
            picture = photograph(browser, site / PAGE, scheme, Path(scratch))
            size = picture.stat().st_size
            print(f"{picture.relative_to(ROOT)}  {size // 1000} kB")
            if size > MOST_BYTES:
                sys.exit(f"pictures: {picture.name} is larger than {MOST_BYTES // 1000} kB")


if __name__ == "__main__":
    main()
