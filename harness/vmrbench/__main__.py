"""`python -m vmrbench` is `vmrbench`."""

from __future__ import annotations

from vmrbench.cli import main

if __name__ == "__main__":
    main()
