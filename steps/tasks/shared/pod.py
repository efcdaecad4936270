"""The pod that a step runs in: account, limits and variables. One decorator for all steps.

On one machine only its variables matter. What Argo has to know of it, `workflows.template.scripts` writes: nothing here
loads Hera, which each step's pod would wait for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, ParamSpec, TypeVar

from steps.settings import environment
from steps.tasks.shared.step import ends_in_a_sentence

P = ParamSpec("P")
R = TypeVar("R")

IMAGE: Final = "dataplane-benchmark:0.1.0"
"""The steps' image on a cluster. A fixed tag, since `latest` would be pulled again for each pod."""

CONFIG_MAP: Final = "dataplane-benchmark"
"""The deployment's variables for all runs: those of `steps.settings.environment`, and of an S3 client."""

SECRET: Final = "dataplane-benchmark-s3"  # noqa: S105 - its name
"""The store's credentials, unless the deployment names another Secret."""

ServiceAccount = Literal["switch", "observe", "measure"]
ACCOUNTS: Final[dict[ServiceAccount, str]] = {
    "switch": "dataplane-benchmark-switch",
    "observe": "dataplane-benchmark-observe",
    "measure": "dataplane-benchmark-measure",
}
"""switch may patch Calico; observe may read, and run the trials' pods; measure has no access to the API."""


NODE_NETWORK: Final[Mapping[str, object]] = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
"""What a pod in its node's own network has in its specification."""


@dataclass(frozen=True, slots=True)
class FromConfigMap:
    """A variable that the deployment's ConfigMap may set. Each is named: a whole ConfigMap could set any variable."""

    name: str


@dataclass(frozen=True, slots=True)
class FromSecret:
    """A variable that a Secret's key may set."""

    name: str
    secret: str
    key: str


Variable = FromConfigMap | FromSecret

_DEPLOYED: Final = tuple(map(FromConfigMap, environment.FROM_CONFIG_MAP))
_STORE: Final = tuple(FromSecret(name, SECRET, key) for name, key in environment.S3_KEYS.items())

SWITCH_DEADLINE_S: Final = 6 * 3600
"""How long a step that switches back may live: the Tigera operator replaces calico-node on one node after another, for
which it takes up to a minute each. All that such a step waits for has a limit of its own."""


@dataclass(frozen=True, eq=False)
class Step(Generic[P, R]):
    """A function that a pod runs, with no more privileges than it needs. Called, it runs here.

    Attributes:
        account: whose permissions it has.
        deadline_s: it is killed after this.
        store: whether it gets the store's credentials.
        repeatable: whether it runs again when its pod was lost, as by an eviction. A step that reported a failure is
            never repeated.
        fields: further fields of its template, as Argo names them.
    """

    function: Callable[P, R]
    account: ServiceAccount
    deadline_s: int
    memory: str = "256Mi"
    store: bool = False
    repeatable: bool = False
    env: tuple[Variable, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it."""
        return self.function(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function, by whose signature the step has inputs and artifacts."""
        return self.function

    @property
    def on_node(self) -> bool:
        """Whether its pod is in the node's own network, as of all steps that may call the cluster's API.

        The network of pods is what they change and prove. They start where the network plugin is down, and sooner.
        """
        return self.account != "measure"

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All that its pod takes from the deployment."""
        return (*_DEPLOYED, *(_STORE if self.store else ()), *self.env)


def step(
    account: ServiceAccount,
    *,
    deadline_s: int,
    memory: str = "256Mi",
    store: bool = False,
    repeatable: bool = False,
    env: tuple[Variable, ...] = (),
    fields: Mapping[str, object] | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step, whose failures end as one sentence. The arguments are the attributes of Step."""
    return lambda function: Step(
        ends_in_a_sentence(function), account, deadline_s, memory, store, repeatable, env, fields or {}
    )
