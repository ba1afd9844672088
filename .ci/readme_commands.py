"""Run every command of the README's ```sh blocks, in order, each as it stands there; stop at the first that fails."""

import pathlib
import re
import subprocess
import sys
import time

readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), flags=re.M | re.S)
commands = [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]
if not commands:
    sys.exit("README.md has no command to run")
for command in commands:
    print(f"\n$ {command}", flush=True)
    start = time.monotonic()
    code = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=readme.parent, check=False).returncode
    print(f"[{time.monotonic() - start:.0f} s, exit status {code}]", flush=True)
    if code:
        sys.exit(f"the README's command failed: {command}")
