#!/bin/sh
# A cluster like the article's on AWS: one control plane, two t3.medium workers, Calico with VXLAN between subnets.
# Needs a management cluster in KUBECONFIG, initialised by:
#   clusterawsadm bootstrap iam create-cloudformation-stack
#   export AWS_B64ENCODED_CREDENTIALS=$(clusterawsadm bootstrap credentials encode-as-profile)
#   clusterctl init --infrastructure aws
# usage: AWS_REGION=eu-west-1 AWS_SSH_KEY_NAME=mine capi-aws/up.sh [NAME]      (kubeconfig: NAME.kubeconfig)
set -eu
cd "$(dirname "$0")"
name=${1:-dataplanes}
. ../calico.sh
: "${AWS_REGION:?name the region}" "${AWS_SSH_KEY_NAME:?name an EC2 key pair}"
for program in clusterctl kubectl aws curl sha256sum; do
    command -v "$program" >/dev/null || { echo "$program is not on PATH: install it" >&2; exit 2; }
done

export AWS_CONTROL_PLANE_MACHINE_TYPE=${AWS_CONTROL_PLANE_MACHINE_TYPE:-t3.large}
export AWS_NODE_MACHINE_TYPE=${AWS_NODE_MACHINE_TYPE:-t3.medium}
clusterctl generate cluster "$name" --infrastructure aws --kubernetes-version "${KUBERNETES_VERSION:-v1.35.4}" \
    --control-plane-machine-count 1 --worker-machine-count 2 >cluster.yaml
kubectl apply -k .

echo "waiting for the control plane" >&2
kubectl wait --for=condition=ControlPlaneInitialized --timeout=20m "cluster/$name"
clusterctl get kubeconfig "$name" >"$name.kubeconfig"
export KUBECONFIG="$PWD/$name.kubeconfig"
until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 5; done

calico_manifest | kubectl apply --server-side -f -
until [ "$(kubectl get nodes --no-headers 2>/dev/null | wc -l)" -ge 3 ]; do sleep 5; done
kubectl wait --for=condition=Ready --timeout=15m node --all

# pods of one subnet talk without encapsulation, which AWS drops unless the instances may forward
kubectl get nodes -o jsonpath='{range .items[*]}{.spec.providerID}{"\n"}{end}' | sed 's|.*/||' | while read -r instance; do
    aws ec2 modify-instance-attribute --region "$AWS_REGION" --instance-id "$instance" --no-source-dest-check
done
echo "export KUBECONFIG=$KUBECONFIG     take it away: kubectl delete cluster $name, on the management cluster" >&2
