"""The configuration as text: shown, checked aside, and replaced, so that the file and what runs say the same."""

from __future__ import annotations

import errno
from typing import Any

from gapura import small_file
from gapura.config.overrides import sentences
from gapura.config.plan import Plan
from gapura.errors import CommandError, Problem
from gapura.master.loader import ask, load
from gapura.master.loop import Steps
from gapura.master.reload import Door
from gapura.master.replacement import Replacement

Document = dict[str, Any]


class Texts:
    """The files of the door's configuration. `argv` (tests) stands for the config process."""

    def __init__(self, door: Door, argv: list[str] | None = None) -> None:
        self._door = door
        self._argv = argv

    def shown(self) -> Document:
        """The files as they are on the disk now, the main one first, and whether they are still as they were loaded."""
        door = self._door
        files = [{"file": file, "text": present(file) or "", "changed": present(file) != text} for file, text in door.texts.items()]
        main = door.running["file"]
        text = next((item["text"] for item in files if item["file"] == main), "")
        return {"generation": door.generation, "file": main, "text": text, "files": files}

    def check(self, text: str | None, file: str, guarded: bool) -> Steps[Document]:
        """What is wrong with a text (None: what stands on the disk), and what taking it would change.

        `guarded`: it comes from where nothing may be said that only files may say.
        """
        door, written = self._door, self._written()
        texts = {} if text is None else {self._known(file): text}
        job: Document = {"texts": texts, "running": door.texts, **({"guard": written} if guarded else {})}
        answer = yield from ask(door.loop, "check", written["file"], self._argv, job)
        plan: Plan | None = answer.get("plan")
        faulty = plan is None or any(not problem.get("warning") for problem in answer["problems"])
        changes = [] if plan is None or faulty else door.preview(plan)
        said = {"problems": answer["problems"], "changes": changes, "diff": answer.get("diff", "")}
        return {"generation": door.generation, "valid": not faulty, **said, "overrides": sentences(door.overrides.said)}

    def put(self, text: str, file: str, generation: int | None, guarded: bool) -> Steps[list[str]]:
        """Take a text into use, then into the file's place. Raises `ConfigError` and `CommandError`; nothing has changed then.

        `generation`: what the text was made of; it may be older as long as no file changed since.
        """
        door, written = self._door, self._written()
        target, before = self._known(file), door.texts
        if generation is not None and not door.since <= generation <= door.generation:
            late = f"the configuration was changed since generation {generation}: {door.generation} serves now"
            raise CommandError(late, "Read it again, and make your change in that.", code="conflict")
        yield from self._unchanged()
        job: Document = {"texts": {**before, target: text}, "running": before, **({"guard": written} if guarded else {})}
        plan, _, texts = yield from load(door.loop, written["file"], self._argv, job)
        if texts.keys() != before.keys():
            raise CommandError(
                "there are other files in conf.d than those that were loaded", "`gapura reload` first.", code="conflict"
            )
        replacement = Replacement(target, text)
        replacement.prepare()
        try:
            said = yield from door.replace(plan, texts)
        except BaseException:
            replacement.discard()
            raise
        try:
            if present(target) != before[target]:
                raise OSError(errno.ESTALE, "it was changed by hand at this moment")
            replacement.commit()
        except OSError as error:
            replacement.discard()
            yield from door.replace(written, before)
            reason, code = error.strerror or str(error), "conflict" if error.errno == errno.ESTALE else ""
            raise CommandError(
                f"{target} cannot be replaced: {reason}", "The configuration before serves again.", code=code
            ) from None
        return said

    def kept(self, file: str) -> str:
        """Where the text before the last `put` is."""
        return Replacement(self._known(file), "").before

    def _unchanged(self) -> Steps[None]:
        """Raise `CommandError` with the difference when a file was changed by hand and not loaded since."""
        door = self._door
        changed = [file for file, text in door.texts.items() if present(file) != text]
        if not changed:
            return
        answer = yield from ask(door.loop, "check", self._written()["file"], self._argv, {"running": door.texts})
        problem = Problem("this file was changed since it was loaded", changed[0], hint=str(answer.get("diff", "")))
        hint = "`gapura reload` takes up what it says now; then read it again, and make your change in that."
        raise CommandError(f"{changed[0]} was changed by hand meanwhile", hint, problems=[problem], code="conflict")

    def _known(self, file: str) -> str:
        """The file meant; "" means the main one. Raises `CommandError`."""
        meant = file or self._written()["file"]
        if meant not in self._door.texts:
            known = ", ".join(self._door.texts)
            raise CommandError(f"{meant} is no file of this configuration", f"They are: {known}.", code="missing")
        return meant

    def _written(self) -> Plan:
        self._door.running  # noqa: B018 - raises while Gapura is still starting
        assert self._door.written is not None
        return self._door.written


def present(file: str) -> str | None:
    """The text of a file as the loader would read it now; None when it cannot be read."""
    try:
        return small_file.read(file)[0].decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError):
        return None
