"""The labels and annotations that exclude a pod from service meshes, as the meshes document them.

Every pod of a run has them: our servers and clients, and Argo's step pods by the workflow's `podMetadata`.
"""

from typing import Final

OPT_OUT_LABELS: Final = {
    "sidecar.istio.io/inject": "false",
    "istio.io/dataplane-mode": "none",
    "kuma.io/sidecar-injection": "disabled",
}
OPT_OUT_ANNOTATIONS: Final = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "openservicemesh.io/sidecar-injection": "disabled",
    "injector.nsm.nginx.com/auto-inject": "false",
    "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled",
}

IN_THE_PATH: Final = {
    "ambient.istio.io/redirection": "Istio's ambient mode redirects its traffic",
    "kmesh.net/redirection": "Kmesh redirects its traffic",
    "sidecar.istio.io/status": "Istio injected a sidecar into it",
    "linkerd.io/proxy-version": "Linkerd injected a proxy into it",
    "kuma.io/sidecar-injected": "Kuma injected a sidecar into it",
    "consul.hashicorp.com/connect-inject-status": "Consul injected a proxy into it",
    "v1.multus-cni.io/default-network": "Multus gave it another network than the cluster's own",
    "kubernetes.io/ingress-bandwidth": "what it may receive is limited by annotation",
    "kubernetes.io/egress-bandwidth": "what it may send is limited by annotation",
    "qos.projectcalico.org/ingressBandwidth": "what it may receive is limited by annotation",
    "qos.projectcalico.org/egressBandwidth": "what it may send is limited by annotation",
    "qos.projectcalico.org/ingressPacketRate": "how many packets it may receive is limited by annotation",
    "qos.projectcalico.org/egressPacketRate": "how many packets it may send is limited by annotation",
}
"""Annotations that others add to a pod, and their effect on the path of its traffic."""

OFF: Final = frozenset({"", "disabled", "false", "none", "off"})
"""Values of such an annotation that disable it."""
