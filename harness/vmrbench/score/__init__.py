"""From stored predictions to numbers with intervals."""

from vmrbench.score.intervals import Interval, SeedScores, average_seeds, bootstrap, over_seeds, paired_difference
from vmrbench.score.per_query import score_predictions
from vmrbench.score.result import ScoreResult, score_file
from vmrbench.score.submission import read_predictions, write_predictions

__all__ = [
    "Interval",
    "ScoreResult",
    "SeedScores",
    "average_seeds",
    "bootstrap",
    "over_seeds",
    "paired_difference",
    "read_predictions",
    "score_file",
    "score_predictions",
    "write_predictions",
]
