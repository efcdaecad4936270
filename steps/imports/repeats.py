"""Measurements that several files have, or one file has twice: each is read once. Pure."""

from dataclasses import dataclass, field, replace

from steps.imports.content import Content


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the files before had, each with the file's name.

    Attributes:
        tests: by the names of tests.
        digests: by the digest of the file.
        figures: by all figures of a file, for those that name no tests; and by those of files that do.
    """

    tests: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    figures: dict[tuple[str, bool], str] = field(default_factory=dict)

    def without_known(self, digest: str, content: Content) -> tuple[Content, list[str]]:
        """What is left of a file without tests that are known, or stand in it before; and a clause for each of them.

        Nothing is left of a file that is known as a whole.
        """
        if (same := self._same_file(digest, content)) is not None:
            return replace(content, trials=()), [same]
        kept, clauses, seen = [], [], dict[str, str]()
        for number, trial in enumerate(content.trials, 1):
            earlier = self.tests.get(trial.test) or seen.get(trial.test)
            if trial.test and earlier is not None:
                clauses.append(
                    f"measurement {number} of it is of the same test as {earlier}, perhaps from the other end"
                )
                continue
            seen[trial.test] = f"measurement {number}"
            kept.append(trial)
        if not kept:
            files = ", ".join(dict.fromkeys(self.tests[trial.test] for trial in content.trials))
            tests = "test" if len(content.trials) == 1 else "tests"
            clauses = [f"it is of the same {tests} as {files}, perhaps from the other end"]
        return replace(content, trials=tuple(kept)), clauses

    def _same_file(self, digest: str, content: Content) -> str | None:
        """Why a file has nothing new, as a clause. None: it may have.

        Files without figures don't count: of two tests that could not connect iperf3 writes the very same.
        """
        if all(trial.error for trial in content.trials):
            return None
        if (same := self.digests.get(digest)) is not None:
            return f"it is the same file as {same}"
        # Two files that both name their tests are distinguished by the names.
        same = self.figures.get((content.figures, False))
        if same is None and not _names_tests(content):
            same = self.figures.get((content.figures, True))
        return f"it has the same figures as {same}" if content.figures and same is not None else None

    def add(self, name: str, digest: str, content: Content) -> None:
        """Keep what a file has that was read."""
        for trial in content.trials:
            if trial.test:
                self.tests[trial.test] = name
        self.digests.setdefault(digest, name)
        self.figures.setdefault((content.figures, _names_tests(content)), name)


def _names_tests(content: Content) -> bool:
    return all(trial.test for trial in content.trials)
