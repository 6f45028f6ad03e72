"""The command line: one module a verb."""

from __future__ import annotations

from vmrbench.cli.app import app


def main() -> None:
    """Run the command line; exits with 0, 1 (cells failed), 2 (the user's mistake) or 130 (interrupted)."""
    app(prog_name="vmrbench")
