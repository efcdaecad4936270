#!/bin/sh
# A kind cluster with Calico, and a node without it for the client outside.
# usage: kind/up.sh      (context: kind-dataplanes)          away with it: kind delete cluster --name dataplanes
set -eu
cd "$(dirname "$0")"
. ../calico.sh
for program in docker kind kubectl curl sha256sum; do
    command -v "$program" >/dev/null || { echo "$program is not on PATH: install it" >&2; exit 2; }
done
kind get clusters 2>/dev/null | grep -qx dataplanes || kind create cluster --config cluster.yaml
k() { kubectl --context kind-dataplanes "$@"; }

outside=$(k get nodes -l outside=true -o jsonpath='{.items[0].metadata.name}')
docker exec -i "$outside" sh -c 'cat >/etc/cni/net.d/10-outside.conflist' <ptp.conflist
k taint node "$outside" outside=true:NoSchedule --overwrite

calico_manifest | k apply --server-side -f -
k -n kube-system patch daemonset calico-node --type merge -p '{"spec":{"template":{"spec":{"affinity":{"nodeAffinity":
  {"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":
  [{"key":"outside","operator":"DoesNotExist"}]}]}}}}}}}'
k wait --for=condition=Ready --timeout=10m node --all
echo "python -m workflows preflight --environment kind-dataplanes" >&2
