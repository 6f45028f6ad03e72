"""Training, predicting and running one cell."""
