"""What costspan adds to the start of an application that has imported its SDK, against importing that SDK.

    python benchmarks/startup.py [--runs 15] [--json]

Each run is a fresh process; the figures are medians. Byte code is cached, as it is in every start but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

_MEASURE = """
import time
begin = time.perf_counter()
import {sdk}
imported = time.perf_counter()
import costspan
costspan.instrument()
done = time.perf_counter()
print(imported - begin, done - imported)
"""


def measure(sdk: str, runs: int) -> dict[str, float]:
    """Return medians in milliseconds: importing the SDK, and costspan after it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
            "COSTSPAN_STATE_DIR": folder,
            "COSTSPAN_DRAIN": "off",
        }
        times = []
        for _ in range(runs + 1):
            command = [sys.executable, "-c", _MEASURE.format(sdk=sdk)]
            run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            times.append([float(word) * 1000 for word in run.stdout.split()])
    sdk_ms, ours_ms = (statistics.median(column) for column in zip(*times[1:], strict=True))
    return {"sdk_ms": sdk_ms, "costspan_ms": ours_ms, "ratio": ours_ms / sdk_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {sdk: measure(sdk, options.runs) for sdk in ("openai", "anthropic")}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'SDK':12}{'import ms':>12}{'costspan ms':>14}{'ratio':>8}")
    for sdk, result in results.items():
        print(f"{sdk:12}{result['sdk_ms']:12.0f}{result['costspan_ms']:14.0f}{result['ratio']:8.2f}")


if __name__ == "__main__":
    main()
