"""A pytest plugin for ceph/s3-tests: writes a line for each test, with what was called in it.

A line of the table holds the outcome, whether the suite says that S3 itself fails the test
(`fails_on_aws`), the name of the test, and the operations that were answered with success in it.
docs/s3-compatibility.md is made of that.
"""

import os
import re
from urllib.parse import urlsplit

import botocore.client
import pytest
import requests

HEADER = """\
# Written by scripts/s3-tests; see docs/s3-tests.md.
# outcome, marked fails_on_aws, test, operations answered with success
"""

# Names that the API reference has given up, and what they are called now.
RENAMED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}


class Table:
    def __init__(self, path: str, differs: str):
        self.path = path
        self.differs = read_differs(differs)
        self.outcomes: dict[str, str] = {}
        self.marked: dict[str, bool] = {}
        self.operations: dict[str, set[str]] = {}
        self.current: set[str] = set()
        self.watch_botocore()
        self.watch_requests()

    def watch_botocore(self) -> None:
        inner = botocore.client.BaseClient._make_api_call

        def call(client, operation, arguments):
            answer = inner(client, operation, arguments)
            if client.meta.service_model.service_name == "s3":
                self.current.add(RENAMED.get(operation, operation))
            return answer

        botocore.client.BaseClient._make_api_call = call

    def watch_requests(self) -> None:
        """Forms are posted without botocore."""
        inner = requests.Session.send

        def send(session, request, **settings):
            answer = inner(session, request, **settings)
            is_form = request.method == "POST" and not urlsplit(request.url).query
            content_type = request.headers.get("Content-Type", "")
            if is_form and answer.ok and "multipart/form-data" in str(content_type):
                self.current.add("PostObject")
            return answer

        requests.Session.send = send

    @pytest.hookimpl
    def pytest_runtest_setup(self, item):
        self.marked[item.nodeid] = item.get_closest_marker("fails_on_aws") is not None
        self.current = self.operations.setdefault(item.nodeid, set())

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            # A test that passed and could not be cleaned up after did not pass.
            if self.outcomes.get(report.nodeid) != "failed":
                self.outcomes[report.nodeid] = report.outcome

    @pytest.hookimpl
    def pytest_sessionfinish(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(HEADER)
            for test, outcome in sorted(self.outcomes.items()):
                mark = "fails_on_aws" if self.marked.get(test) else "-"
                operations = ",".join(sorted(self.operations.get(test, ()))) or "-"
                file.write(f"{outcome} {mark} {test} {operations}\n")

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter):
        def count(outcome, marked):
            each = self.outcomes.items()
            return sum(o == outcome and self.marked.get(test, False) == marked for test, o in each)

        write = terminalreporter.write_line
        write(f"{'':8}{'wanted':>10}{'fails_on_aws':>14}")
        for outcome in ("passed", "failed", "skipped"):
            write(f"{outcome:8}{count(outcome, False):10}{count(outcome, True):14}")
        failed = [test for test, outcome in self.outcomes.items() if outcome == "failed"]
        for test in failed:
            if not self.marked.get(test) and not self.differs.fullmatch(short(test)):
                write(f"neither passed nor in differs.txt: {test}")
        for test, outcome in self.outcomes.items():
            if outcome == "passed" and self.differs.fullmatch(short(test)):
                write(f"passed although in differs.txt: {test}")


def short(test: str) -> str:
    """A test's name without its file."""
    return test.rsplit("::", 1)[-1]


def read_differs(path: str) -> re.Pattern:
    """Tests that rightly differ: `test, test: reason`, where `*` stands for anything."""
    names = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            found = re.fullmatch(r"(test_\S+(?:, test_\S+)*): (.+)\n?", line)
            if found:
                names += found[1].split(", ")
            elif line.strip() and not line.startswith("#"):
                raise SystemExit(f"{path}: not `test, test: reason`: {line.strip()}")
    return re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in names))


def pytest_configure(config):
    table = Table(os.environ["ONCILLA_TABLE"], os.environ["ONCILLA_DIFFERS"])
    config.pluginmanager.register(table, "oncilla-table")
