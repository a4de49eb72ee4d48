"""A server under the library in powerloss/ (read its head first), with its control files."""

import pathlib
import shutil

import harness

LIBRARY = harness.REPOSITORY / ".tools" / "lib" / "powerloss.so"


def quiet_server(data: pathlib.Path, *arguments: str, **options) -> harness.Server:
    """A server without an access log, which would bury what matters in a failed test's report."""
    log_level = ["--log-level", "info,access=off"]
    return harness.Server(data, arguments=[*log_level, *arguments], **options)


class Faults:
    """A server whose disk obeys commands."""

    def __init__(self, directory: pathlib.Path, seed: int):
        assert LIBRARY.is_file(), f"run `make {LIBRARY.relative_to(harness.REPOSITORY)}`"
        self.data = directory / "data"
        self.data.mkdir()
        self.stash = directory / "stash"
        self.control = directory / "control"
        self.report = directory / "report"
        self.server = quiet_server(self.data)
        self.seed = seed
        # Whether an earlier command had cut the power when `cut` came.
        self.ended_by_itself = False

    def spawn(self, round_number: int = 0, command: str = "") -> harness.Server:
        """Starts the server with the library, not waiting for it; `command` counts at once."""
        self.clear()
        self.report.unlink(missing_ok=True)
        shutil.rmtree(self.stash, ignore_errors=True)
        self.stash.mkdir()
        if command:
            self.command(command)
        self.server.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "ONCILLA_FAULT_DIR": str(self.data),
            "ONCILLA_FAULT_STASH": str(self.stash),
            "ONCILLA_FAULT_CONTROL": str(self.control),
            "ONCILLA_FAULT_REPORT": str(self.report),
            "ONCILLA_FAULT_SEED": str(self.seed + round_number),
        }
        self.server.spawn()
        return self.server

    def start(self, round_number: int = 0) -> harness.Server:
        """Starts the server with the library."""
        self.spawn(round_number)
        self.server.wait_until_ready()
        assert self.report.read_text().startswith("loaded"), self.report.read_text()
        return self.server

    def start_without(self) -> harness.Server:
        self.server.environment = {}
        return self.server.start()

    def command(self, text: str) -> None:
        """Set in one step, so that the library never reads half a command."""
        new = self.control.with_suffix(".new")
        new.write_text(text + "\n")
        new.replace(self.control)

    def clear(self) -> None:
        self.control.unlink(missing_ok=True)

    def cut(self) -> None:
        """Power is lost now, if it was not already."""
        self.ended_by_itself = self.server.process.poll() is not None
        if not self.ended_by_itself:
            self.command("cut")
            self.server.process.wait(60)
        assert self.server.process.returncode == 137, (
            self.server.process.returncode,
            self.report.read_text(),
            self.server.log_tail(),
        )
