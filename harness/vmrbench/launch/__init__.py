"""Where jobs run."""

from __future__ import annotations

from vmrbench.launch.jobs import Job, JobEvent, JobResult, OnEvent, say_stage

__all__ = ["Job", "JobEvent", "JobResult", "OnEvent", "say_stage"]
