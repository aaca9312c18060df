"""What Alice's daemons say they do, held against the model while they do it."""
import trace_checker


class Refused(AssertionError):
    """A step that the model does not allow in that order."""


class Steps:
    """The file is looked at again and again; each look judges what came since."""

    def __init__(self, path):
        self.path, self.checker, self.at, self.rest = path, trace_checker.Checker(), 0, ""

    def look(self):
        with open(self.path, encoding="ascii") as file:
            file.seek(self.at)
            text = self.rest + file.read()
            self.at = file.tell()
        whole = text.rfind("\n") + 1
        self.rest = text[whole:]               # half a line: it goes on, or its daemon was killed
        before = len(self.checker.refusals)
        if whole:
            self.checker.feed(text[:whole].splitlines(keepends=True))
        return self.checker.refusals[before:]

    def check(self, what):
        if refusals := self.look():
            told = "\n".join(f"{self.path}:{one.line}: {one.rule}: {one.why}" for one in refusals)
            lines = self.path.read_text().splitlines()[max(0, refusals[0].line - 30):refusals[0].line]
            raise Refused(f"REFUSED after {what}: {told}\nthe steps before:\n" + "\n".join(lines))
