"""Files as iperf3, knb and k8s-netperf write them, made after their documented form."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

GIGA = 1e9
SECONDS = 10.0
NOON = 1_700_000_000


def tcp(
    bps: float = 9 * GIGA, *, version: str = "3.16", at: int = NOON, cookie: str = "", **changed: object
) -> dict[str, Any]:
    """A test over TCP of ten seconds."""
    start: dict[str, Any] = {
        "protocol": "TCP",
        "num_streams": 1,
        "blksize": 131072,
        "omit": 0,
        "duration": 10,
        "bytes": 0,
        "blocks": 0,
    }
    start |= {"reverse": 0} | changed
    streams = start["num_streams"]
    sums = [
        {
            "start": 0,
            "end": SECONDS,
            "seconds": SECONDS,
            "bytes": round(n * bps / 8),
            "bits_per_second": n * bps / SECONDS,
        }
        for n in (SECONDS, SECONDS / streams)
    ]
    interval = {**sums[0], "omitted": False}
    return {
        "start": {
            "version": f"iperf {version}",
            "timestamp": {"timesecs": at},
            "cookie": cookie or f"cookie-{at}-{bps}",
            "system_info": "Linux node 6.1.0",
            "test_start": start,
        },
        "intervals": [{"streams": [interval], "sum": interval}],
        "end": {
            "streams": [{"sender": {**sums[1], "mean_rtt": 200}, "receiver": sums[1]}] * streams,
            "sum_sent": {**sums[0], "retransmits": 7},
            "sum_received": sums[0],
            "sender_tcp_congestion": "cubic",
        },
    }


def old_udp(*, sent: int = 1000, lost: int = 100, version: str = "3.1.7") -> dict[str, Any]:
    """A test over UDP before 3.11: the sender's bytes and the receiver's counts, and nothing that was received."""
    total = {
        "start": 0,
        "end": SECONDS,
        "seconds": SECONDS,
        "bytes": sent * 1000,
        "bits_per_second": sent * 1000 * 8 / SECONDS,
        "jitter_ms": 0.5,
        "lost_packets": lost,
        "packets": sent,
    }
    document = tcp(version=version, protocol="UDP", blksize=1000)
    return document | {"end": {"streams": [{"udp": total}], "sum": total}}


def old_both(version: str = "3.9") -> dict[str, Any]:
    """A test of both directions before 3.11, whose sums are of one of them alone; the receivers' seconds are wrong."""
    document = tcp(version=version)
    sent = document["end"]["sum_sent"] | {"sender": True}
    received = document["end"]["sum_received"] | {"seconds": SECONDS / 2, "sender": True}
    back = {name: figures | {"sender": False} for name, figures in (("sender", sent), ("receiver", received))}
    document["end"]["streams"] = [{"sender": sent, "receiver": received}, back]
    return document


def streamed(document: Mapping[str, Any]) -> bytes:
    """A document as the events of --json-stream."""
    events = [("start", document["start"])]
    events += [("interval", interval) for interval in document["intervals"]]
    events += [("end", document["end"])]
    return b"\n".join(json.dumps({"event": name, "data": data}).encode() for name, data in events)


def text(document: object) -> bytes:
    return json.dumps(document).encode()


KNB_ENV = """BENCHMARK_RUN_NAME="knb-1"
GENERATOR="knb"
VERSION="1.5.0"
BENCHMARK_DATE="2023-11-14 22:13:00"
SERVER_NODE="node-b"
CLIENT_NODE="node-a"

SOCKET_BUFFER_SIZE="256K"
IDLE_POD_NAME="idle"
CLIENT_TCP_P2P_POD_NAME="tcp-p2p"
CLIENT_UDP_P2P_POD_NAME=""
CLIENT_TCP_P2S_POD_NAME=""
CLIENT_UDP_P2S_POD_NAME="udp-p2s"
"""
AVERAGES = "cpu-user cpu-nice cpu-system cpu-iowait cpu-steal memory-used records-number\n"
METRICS = "cpu-user cpu-nice cpu-system cpu-iowait cpu-steal memory-used timestamp\n"
TCP_LOG = """[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-10.00  sec  11.2 GBytes  9650 Mbits/sec  420             sender
[  5]   0.00-10.04  sec  11.2 GBytes  9625 Mbits/sec                  receiver
"""
UDP_LOG = """[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams
[  5]   0.00-10.00  sec  12.3 GBytes  10593 Mbits/sec  0.000 ms  0/1493840 (0%)  sender
[  5]   0.00-10.04  sec  11.1 GBytes  9484 Mbits/sec  0.008 ms  163940/1493611 (11%)  receiver
"""


def knb_texts() -> dict[str, str]:
    """The members of a data file of knb."""
    side = {f"{pod}-{end}.avg": f"{AVERAGES}1.00 0.00 9.00 0.50 0.00 650 11\n" for pod in PODS for end in ENDS}
    side |= {f"idle-{end}.avg": f"{AVERAGES}0.50 0.00 0.50 0.10 0.00 600 11\n" for end in ENDS}
    side |= {f"{pod}-client.metrics": f"{METRICS}1.0 0.0 2.0 0.0 0.0 650 {NOON + n}\n" for n, pod in enumerate(PODS)}
    return {
        "env": KNB_ENV,
        "cpu": "A CPU @ 3 GHz\n",
        "kernel": "6.1.0\n",
        "k8s-version": "v1.28.0\n",
        "mtu": "8950\n",
        "idle.bw": "0\n",
        "tcp-p2p.bw": "9625\n",
        "tcp-p2p.log": TCP_LOG,
        "udp-p2s.bw": "9484\n",
        "udp-p2s.log": UDP_LOG,
        **side,
    }


PODS = ("tcp-p2p", "udp-p2s")
ENDS = ("client", "server")
_CPU = {"total": 10.5, "user": 1, "nice": 0, "system": 9, "iowait": 0.5, "steal": 0}


def knbdata(texts: Mapping[str, str] | None = None, **more: tarfile.TarInfo) -> bytes:
    """A data file of knb."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in (texts if texts is not None else knb_texts()).items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
        for member in more.values():
            archive.addfile(member)
    return gzip.compress(packed.getvalue())


def _knb_test(mbps: object) -> dict[str, Any]:
    return {"bandwidth": mbps, **{end: {"cpu": dict(_CPU), "ram": 650} for end in ENDS}}


def knb_report(mbps: object = 9625) -> dict[str, Any]:
    """knb's report, as its JSON and its YAML have it."""
    return {
        "metadata": {
            "name": "knb-1",
            "generator": "knb",
            "version": "1.5.0",
            "date": "2023-11-14 22:13:00",
            "server-node": "node-b",
            "client-node": "node-a",
            "socket-buffer-size": "256K",
        },
        "data": {
            "cpu": "A CPU",
            "kernel": "6.1.0",
            "k8s-version": "v1.28.0",
            "mtu": "8950",
            "idle": _knb_test(0),
            "pod2pod": {"tcp": _knb_test(mbps)},
            "pod2svc": {"tcp": _knb_test(mbps)},
        },
    }


def netperf(**changed: object) -> dict[str, Any]:
    """A result of k8s-netperf, as its JSON has it."""
    result = {
        "uuid": "k8s-netperf",
        "timestamp": "2023-11-14T22:13:20Z",
        "hostNetwork": False,
        "driver": "netperf",
        "parallelism": 1,
        "profile": "TCP_STREAM",
        "duration": 10,
        "service": False,
        "local": False,
        "samples": 3,
        "messageSize": 1024,
        "burst": 0,
        "throughput": 2702.23,
        "latency": 3.5,
        "tputMetric": "Mb/s",
        "ltcyMetric": "usec",
        "tcpRetransmits": 54.67,
        "metadata": {"kernel": "5.14.0", "mtu": 1400},
        "clientCPU": {"idleCPU": 90, "userCPU": 1, "systemCPU": 5, "ioCPU": 1, "softCPU": 3, "stealCPU": 0},
        "serverCPU": {"idleCPU": 0, "userCPU": 0},
        "clientNodeInfo": {"nodeName": "node-a"},
    }
    return result | changed


NETPERF_CSV = """\
Driver,Profile,Same node,Host Network,Service,Duration,Parallelism,# of Samples,Message Size,\
Avg Throughput,Throughput Metric,99%tile Observed Latency,Latency Metric
netperf,TCP_STREAM,false,false,false,10,1,3,1024,873.606667,Mb/s,3.3333333333333335,usec
netperf,TCP_CRR,false,false,true,10,1,3,1024,2061.776667,OP/s,4679.333333333333,usec
netperf,TCP_RR,false,true,false,10,2,3,1024,9333.986667,OP/s,451.3333333333333,usec
"""
