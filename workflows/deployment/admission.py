"""The admission policies of a deployment: whether this cluster can enforce them, and which images they permit."""

import json
from dataclasses import dataclass

from analysis.errors import BadInput
from steps.tasks.shared.pod import ACCOUNTS
from workflows.deployment.kustomization import image_parts
from workflows.deployment.runs import images_in_use
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
    """The image, the one deployed before it, and of earlier ones those of runs that must come to their end.

    A workflow's record may name any image. Only what an earlier deployment permitted stays permitted, since nothing
    else can have been running; so a record that somebody edited adds none.

    Raises:
        Problem: the runs, or who holds the lock, can't be read.
    """
    known = _known_images(client)
    before = known[1:2] if known[:1] == [image] else known[:1]
    in_use = images_in_use(client) if known else set()
    return tuple(dict.fromkeys((image, *(each for each in known if each in in_use or each in before))))


def _known_images(client: UserClient) -> list[str]:
    """What the policy permits now, the image of the last deployment first; each must be one that could be deployed."""
    policy = client.get(POLICIES, PODS)
    variables = {v["name"]: v["expression"] for v in ((policy or {}).get("spec") or {}).get("variables") or []}
    try:
        found = json.loads(variables.get(IMAGES, "[]"))
    except ValueError:  # edited by hand
        return []
    return [each for each in found if isinstance(each, str) and _deployable(each)] if isinstance(found, list) else []


def _deployable(image: str) -> bool:
    try:
        image_parts(image)
    except BadInput:
        return False
    return True
