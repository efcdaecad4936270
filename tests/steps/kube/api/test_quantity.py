import pytest

from steps.cluster.kube.api.quantity import is_burstable


@pytest.mark.parametrize(
    ("instance_types", "expected"),
    [
        ("t2.micro t3.medium t3a.2xlarge t4g.nano t1.micro", True),
        ("Standard_B2ms Standard_B1s Standard_B2s_v2 Standard_B2als_v2 Standard_B20ms", True),
        ("e2-micro e2-small e2-medium f1-micro g1-small e2-custom-micro-1024 e2-custom-small-2048", True),
        ("m6i.8xlarge m5.large c7g.16xlarge c5n.18xlarge r6id.metal m7i-flex.large i3en.24xlarge x1.16xlarge", False),
        (
            "p4d.24xlarge g5.xlarge inf2.xlarge trn1.32xlarge u-6tb1.metal hpc7g.16xlarge m7g.metal-48xl",
            False,
        ),
        ("Standard_D4s_v5 Standard_DS2_v2 Standard_E8-4as_v5 Standard_F72s_v2 Standard_L8s_v3 Standard_NC6s_v3", False),
        ("e2-standard-4 e2-highcpu-8 n1-standard-1 n2d-highmem-16 c3-standard-22-lssd t2d-standard-8", False),
        ("a2-highgpu-1g c4a-highcpu-4 n2-custom-4-8192 e2-custom-4-8192 h3-standard-88", False),
        ("ecs.t5-lc1m1.small ecs.t6-c1m1.large ecs.g7.large VM.Standard.E2.1.Micro VM.Standard.E4.Flex", None),
        ("s-2vcpu-4gb c-4 g-2vcpu-8gb cpx31 cx22 b3-8 t6.large.2 s3.large.2 m1.small c1.xlarge bx2-4x16", None),
        ("m1.medium standard-2 GP1-S k3s Basic_A1 custom", None),
    ],
)
def test_burstable_instance_types(instance_types: str, expected: object) -> None:
    for name in instance_types.split():
        assert is_burstable(name) is expected, name
