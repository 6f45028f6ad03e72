"""Evaluation conventions, versioned."""
