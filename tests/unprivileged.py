"""Commands as a user runs them who is not root: files that are read-only stay unwritten.

The tests may run as root, and another user id could not execute an interpreter below /root. Root without the
capabilities to disregard file modes obeys them as everybody does.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PR_CAPBSET_DROP = 24
# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER of <linux/capability.h>.
_CAPABILITIES = (1, 2, 3)


def obey_file_modes() -> None:
    """For `preexec_fn`: what is executed next is bound by file modes, root or not."""
    if os.geteuid() == 0 and sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in _CAPABILITIES:
            prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def writes_read_only_files() -> bool:
    """Whether a command that was started so can write to a file of mode 0444 all the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "read-only"
        path.touch(mode=0o444)
        command = ["sh", "-c", f"echo written 2> /dev/null > {path}"]
        subprocess.run(command, preexec_fn=obey_file_modes, check=False, stderr=subprocess.DEVNULL)
        return path.stat().st_size > 0
