"""How a pod keeps out of service meshes, by the labels and annotations that they document for it.

They are on every pod of a run: on our servers and clients, and by the workflow's `podMetadata` on Argo's step pods.
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
"""Annotations that others put on a pod, and what they say of the path that its traffic takes."""

OFF: Final = frozenset({"", "disabled", "false", "none", "off"})
"""Values of such an annotation that say it is not in effect."""
