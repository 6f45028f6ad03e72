"""The first-party plug-ins: every public module here is found by name."""
