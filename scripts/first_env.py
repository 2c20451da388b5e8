"""Copy `.env.example` to `backend/.env` where there is none. It must not know what the variables mean."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Create the file for its owner's eyes only; an existing one is left alone."""
    try:
        target = os.open(ROOT / "backend" / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(target, "wb") as file:
        file.write((ROOT / ".env.example").read_bytes())
    print("Copied .env.example to backend/.env: change your settings there.", flush=True)


if __name__ == "__main__":
    main()
