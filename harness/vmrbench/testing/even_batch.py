"""`even_batch`, for the tests of plug-ins."""

from vmrbench.data.even_batch import even_batch

__all__ = ["even_batch"]
