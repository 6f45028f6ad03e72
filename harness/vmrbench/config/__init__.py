"""benchmarks.yaml: its schema, how it is read, and the cells it stands for."""
