"""The source of a kube-proxy's mode, by its command line and volumes. Pure.

With `--config`, kube-proxy ignores `--proxy-mode`; without either it takes its default.
"""

import shlex
from dataclasses import dataclass
from typing import Final

from steps.cluster.kube.api.objects import Object

_NAME: Final = "kube-proxy"


@dataclass(frozen=True, slots=True)
class ProxyModeSource:
    """What decides the mode of one kube-proxy.

    Attributes:
        config_map: the ConfigMap with its configuration file, in kube-proxy's own namespace; None: no ConfigMap.
        key: of the file in the ConfigMap.
        file: the path of the configuration file; None: there is none.
        flag: the value of `--proxy-mode`; None: not given. It is ignored if there is a file.
        known: whether the command line is known: an image may start kube-proxy in its own way.
    """

    config_map: str | None = None
    key: str | None = None
    file: str | None = None
    flag: str | None = None
    known: bool = True


def source(pod: Object | None) -> ProxyModeSource:
    """What decides the mode, by the spec of a pod or a pod template."""
    container = _container(pod or {})
    words = _words(container)
    if not words:
        return ProxyModeSource(known=False)
    file, flag = _option(words, "config"), _option(words, "proxy-mode")
    name, key = _config_map(pod or {}, container, file) if file else (None, None)
    return ProxyModeSource(name, key, file, flag)


def _container(pod: Object) -> Object:
    containers: list[Object] = pod.get("containers") or []
    named = [found for found in containers if found.get("name") == _NAME]
    runs = [found for found in containers if any(_NAME in word for word in _words(found))]
    return next(iter([*named, *runs, *containers]), {})


def _words(container: Object) -> list[str]:
    """The words of the command line, also of a shell's single argument."""
    words = []
    for each in [*(container.get("command") or []), *(container.get("args") or [])]:
        text = str(each)
        try:
            words += shlex.split(text, comments=True) if any(c.isspace() for c in text) else [text]
        except ValueError:  # unbalanced quotes: a shell would not start it either
            words += text.split()
    return words


def _option(words: list[str], name: str) -> str | None:
    """The value of an option, as one word or two. The last one counts."""
    found = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == f"--{name}":
            found = following
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


def _config_map(pod: Object, container: Object, file: str) -> tuple[str | None, str | None]:
    """The ConfigMap, and its key, behind a path in a container."""
    mounts = [m for m in container.get("volumeMounts") or [] if _below(file, str(m.get("mountPath", ""))) is not None]
    if not mounts:
        return None, None
    mount = max(mounts, key=lambda m: len(m["mountPath"].rstrip("/")))
    volume: Object = next((v for v in pod.get("volumes") or [] if v.get("name") == mount.get("name")), {})
    inner = _below(file, mount["mountPath"]) or ""
    path = "/".join(part for part in (str(mount.get("subPath") or "").strip("/"), inner) if part)
    projected = [s.get("configMap") for s in (volume.get("projected") or {}).get("sources") or []]
    for shown in filter(None, [volume.get("configMap"), *projected]):
        items = shown.get("items")
        if not items:
            return shown.get("name"), path
        for item in items:
            if item.get("path") == path:
                return shown.get("name"), item.get("key")
    return None, None


def _below(file: str, directory: str) -> str | None:
    """A path relative to a directory; empty for the directory itself, None outside of it."""
    base = directory.rstrip("/")
    if file == base:
        return ""
    return file[len(base) + 1 :] if directory and file.startswith(f"{base}/") else None
