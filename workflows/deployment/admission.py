"""The admission policies of a deployment: whether this cluster can enforce them, and which images they permit."""

import json
from dataclasses import dataclass

from steps.tasks.shared.pod import ACCOUNTS
from workflows.deployment.user_client import POLICIES, UserClient
from workflows.flags.deploy import ADMISSION_MODES, DeployFlags
from workflows.template.pod_policy import IMAGES, PODS


@dataclass(frozen=True, slots=True)
class ChosenAdmission:
    """What becomes of calls that the policies refuse: `mode` is deny, warn or off. `notes`: for the user."""

    mode: str
    notes: tuple[str, ...] = ()


def choose_admission(client: UserClient, flags: DeployFlags) -> ChosenAdmission:
    """The mode that is wanted, where the API server has ValidatingAdmissionPolicy: Kubernetes 1.30 and later."""
    mode = flags.admission.strip() or ADMISSION_MODES[0]
    if not client.serves(POLICIES):
        without = (
            f"{client.where} has no ValidatingAdmissionPolicy, which Kubernetes serves from 1.30: {_unlimited()} "
            "Upgrade it, or enforce the same by another policy engine: docs/security.md names the rules."
        )
        return ChosenAdmission("off", (without,))
    if mode == "off":
        return ChosenAdmission(mode, (f"Without the admission policies, {_unlimited()}",))
    if mode == "warn":
        return ChosenAdmission(mode, (f"The admission policies only warn: {_unlimited()}",))
    return ChosenAdmission(mode)


def _unlimited() -> str:
    return (
        f"anyone who may create workflows or pods in the namespace can use the rights of {ACCOUNTS['switch']} in a pod "
        "of any image."
    )


def permitted_images(client: UserClient, image: str) -> tuple[str, ...]:
    """The image, and the one deployed before it: a run that began with that one must come to its end."""
    policy = client.get(POLICIES, PODS)
    variables = {v["name"]: v["expression"] for v in ((policy or {}).get("spec") or {}).get("variables") or []}
    try:
        earlier = json.loads(variables.get(IMAGES, "[]"))
    except ValueError:  # edited by hand
        earlier = []
    known = [each for each in earlier if isinstance(each, str)] if isinstance(earlier, list) else []
    return tuple(known) if known[:1] == [image] else (image, *known[:1])
