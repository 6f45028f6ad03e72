"""Run records and run folders."""
