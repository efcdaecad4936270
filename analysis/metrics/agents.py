"""What a node's agents and its kernel use while changes are made, and how soon the API server answers."""

from typing import Final

from analysis.metrics.metric import ComparedMetric, Metric, TableColumn


def _of_node(
    column: str, title: str, curve: str, header: str, place: int, needs: str = "programming_p50_s"
) -> ComparedMetric:
    """What a node's agents or its kernel use: every tool that times changes records it, and one of them counts."""
    is_memory = column.endswith("_bytes")
    return ComparedMetric(
        name=column,
        title=title,
        unit="B" if is_memory else "1",
        kind="memory" if is_memory else "cpu",
        columns=(column,),
        trial=f"case when tool in ('service_added', 'rules_update') then {column} end",
        needs=needs,
        better="lower",
        curve=curve,
        table=TableColumn(header, "MiB" if is_memory else "", place),
    )


METRICS: Final = (
    _of_node("felix_memory_bytes", "memory of Felix", "Felix holds", "Felix", 140),
    _of_node("kube_proxy_memory_bytes", "memory of kube-proxy", "kube-proxy holds", "kube-proxy", 141),
    _of_node(
        "kernel_memory_bytes", "memory of the kernel", "the kernel holds", "kernel", 142, needs="kernel_memory_bytes"
    ),
    _of_node("felix_cpu_ratio", "CPUs used by Felix", "Felix uses so many CPUs:", "Felix, CPUs", 143),
    _of_node(
        "kube_proxy_cpu_ratio", "CPUs used by kube-proxy", "kube-proxy uses so many CPUs:", "kube-proxy, CPUs", 144
    ),
    Metric(
        name="api_read_p50_s",
        title="a read of the API server, median",
        unit="s",
        kind="programming",
        table=TableColumn("API read p50", "ms", 145),
    ),
    Metric(
        name="api_read_worst_s",
        title="slowest read of the API server",
        unit="s",
        kind="tail",
        visit="max({value})",
        table=TableColumn("slowest API read", "ms", 146),
    ),
)
