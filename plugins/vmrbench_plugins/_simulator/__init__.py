"""The pieces of the video simulator that the data set plug-ins `simulated` and `jsonl` share.

Reading order: `vocabulary`, `profiles`, `timeline`, `grammar`, `words`, `features`, `reader`, `separability`.
"""
