"""Applying a trim decision to a batch, and the way back from clip axis to seconds."""
