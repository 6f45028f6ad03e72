"""torch.compile of backbones, and what came of it: parts that stayed as they were are counted, never hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from vmrbench.engine.arm import Arm
from vmrbench.errors import DeviceError

BACKEND = "inductor"
# Versions of one function: arms of other widths, one query or several at once. Past it the run fails.
MOST_VERSIONS = 64


@dataclass(kw_only=True)
class CompileLog:
    """What torch.compile made of the backbones, known when they have run.

    backend: the compiler; graphs: compiled pieces, of every version; breaks: reason to how often code between two
    pieces had to run uncompiled.
    """

    backend: str
    graphs: int
    breaks: dict[str, int]

    def __str__(self) -> str:
        """One line for the report."""
        broken = "; ".join(f"{reason} ({count})" for reason, count in self.breaks.items())
        pieces = f"compiled with {self.backend}, {self.graphs} graph{'' if self.graphs == 1 else 's'}"
        return f"{pieces}; uncompiled between them: {broken}" if broken else f"{pieces}, nothing uncompiled"


@contextmanager
def compiled(arms: Sequence[Arm]) -> Iterator[CompileLog]:
    """Inside, `forward` of the arms' backbones is compiled, for any length; the log is filled at the end.

    Raises:
        DeviceError: this machine has no working compiler, a backbone has too many versions, or nothing was compiled.
    """
    from torch._dynamo.utils import counters

    log = CompileLog(backend=BACKEND, graphs=0, breaks={})
    torch._dynamo.reset()
    counters.clear()
    for arm in arms:
        arm.backbone.compile(backend=BACKEND, dynamic=True)
    with _strictly():
        yield log
    log.graphs = int(counters["stats"].get("unique_graphs", 0))
    log.breaks = {_first_line(reason): int(count) for reason, count in counters["graph_break"].items()}
    torch._dynamo.reset()
    if log.graphs == 0:
        raise DeviceError("compile: torch.compile compiled nothing of the backbone; leave 'compile' out")


def check_compiler(device: torch.device) -> None:
    """Compile a line, so that a missing compiler is told before anything is trained.

    Raises:
        DeviceError: there is none that works.
    """
    torch._dynamo.reset()
    with _strictly():
        torch.compile(_a_line, backend=BACKEND)(torch.zeros(2, device=device))


def _a_line(numbers: torch.Tensor) -> torch.Tensor:
    return numbers * 2 + 1


@contextmanager
def _strictly() -> Iterator[None]:
    """Without this, too many versions of a function quietly leave it uncompiled."""
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._inductor.exc import InductorError

    try:
        with config.patch(recompile_limit=MOST_VERSIONS, fail_on_recompile_limit_hit=True, suppress_errors=False):
            yield
    except (TorchDynamoException, FailOnRecompileLimitHit, InductorError) as error:
        reason = _first_line(str(getattr(error, "inner_exception", error)))
        raise DeviceError(f"compile: torch.compile fails here: {reason}; mend that, or leave 'compile' out") from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
