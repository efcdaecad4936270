"""What one step costs beyond its own work: python -m benchmarks.step_overhead [STEPS]."""

import statistics
import sys
import tempfile
import time

from hera.workflows import DAG, WorkflowTemplate

from analysis.console.terminal import printing
from benchmarks.empty_step import empty
from workflows.local.execution.engine import Engine
from workflows.template.scripts import add_task

LIMIT_S = 0.150


def template(steps: int) -> WorkflowTemplate:
    """Empty steps one after another."""
    built = WorkflowTemplate(name="overhead", entrypoint="main", arguments={"nodes": ""})
    with built, DAG(name="main", fail_fast=False):
        for number in range(steps):
            add_task(empty, name=f"step-{number}", depends=f"step-{number - 1}" if number else None)
    return built


def main(steps: int) -> int:
    with tempfile.TemporaryDirectory() as results:
        before = time.perf_counter()
        outcome = Engine(template(steps), {}, results, "overhead").run()
        whole_s = time.perf_counter() - before
    pods = [node for node in outcome.nodes if node.kind == "Pod"]
    took = [node.duration_s for node in pods[1:] if node.duration_s is not None]
    between_s = (pods[-1].started_s - pods[1].started_s) / (len(pods) - 2)
    print(f"{outcome.phase}: {steps} empty steps in {whole_s:.2f} s")
    print(f"from one step's start to the next: {between_s * 1000:.0f} ms (limit {LIMIT_S * 1000:.0f} ms)")
    print(f"one step: median {statistics.median(took) * 1000:.0f} ms, slowest {max(took) * 1000:.0f} ms")
    print(f"the first, while the steps are loaded: {(pods[0].duration_s or 0) * 1000:.0f} ms")
    return int(outcome.phase != "Succeeded" or between_s > LIMIT_S)


if __name__ == "__main__":
    sys.exit(printing(lambda: main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))
