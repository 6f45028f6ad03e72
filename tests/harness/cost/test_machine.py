"""Facts of this machine, and when two sets of facts mean the same machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from vmrbench.cost.machine import cpu_model, machine_facts, machine_key, machine_line


def test_facts_are_plain_values() -> None:
    facts = machine_facts()

    assert json.loads(json.dumps(facts)) == facts


def test_facts_name_processor_cores_threads_and_torch() -> None:
    facts = machine_facts()

    assert (facts["cores"], facts["threads"]) == (os.cpu_count(), torch.get_num_threads())
    assert facts["libraries"]["torch"].startswith(torch.__version__.split("+")[0])


def test_the_same_facts_give_the_same_key() -> None:
    facts = machine_facts()

    assert machine_key(facts) == machine_key(dict(reversed(facts.items())))


def test_another_number_of_threads_is_another_machine() -> None:
    facts = machine_facts()

    assert machine_key(facts) != machine_key(facts | {"threads": facts["threads"] + 1})


def test_clocks_of_the_moment_do_not_change_the_key() -> None:
    facts = machine_facts()

    assert machine_key(facts | {"gpu_clock_mhz": 1}) == machine_key(facts | {"gpu_clock_mhz": 2, "gpu_throttle": 4})


def test_the_processor_is_read_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast Chip 9\n")

    assert cpu_model(tmp_path / "cpuinfo") == "Fast Chip 9"


def test_a_system_without_that_file_still_names_something(tmp_path: Path) -> None:
    assert cpu_model(tmp_path / "absent")


def test_a_line_names_the_gpu_where_there_is_one_and_else_the_processor() -> None:
    facts = {"cpu": "Slow 9", "cores": 4, "threads": 2, "libraries": {"torch": "2.13.0"}}

    assert machine_line(facts) == "Slow 9, 4 cores, threads: 2, torch 2.13.0"
    assert machine_line(facts | {"gpu": "Fast 1"}) == "Fast 1, torch 2.13.0"
