"""The whole job on real drug reviews: learn, measure, sign, serve, ask. It only types the commands that a user would type."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path("work")
PENJING = [str(Path(sys.executable).parent / "penjing")]
QUESTION = "It took my headache away within an hour and I had no side effects at all. I would take it again."


def show(command: list[str]) -> list[str]:
    print(f"\n$ {shlex.join([Path(command[0]).name, *command[1:]])}", flush=True)
    return command


def main() -> None:
    subprocess.run([sys.executable, str(HERE / "data.py"), "reviews", str(WORK)], check=True)
    reviews, test, package = WORK / "reviews.csv", WORK / "reviews-test.csv", WORK / "runs" / "reviews" / "package"
    run = [*PENJING, "run", str(reviews), "--target", "rating", "--test", str(test), "--run", str(package.parent)]
    subprocess.run(show(run), check=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    serve = show([*PENJING, "serve", str(package), "--port", "0"])
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            url = ""
            for line in server.stdout:
                print(line, end="", flush=True)
                if "http://" in line:
                    url = line[line.index("http://") :].split()[0].rstrip(".,")
                    break
            if not url:
                sys.exit("error: the server did not start; its own words are above.")
            body = {"rows": [{"review": QUESTION}]}
            print(f"\n$ curl {url}/v1/predict -d {shlex.quote(json.dumps(body))}")
            request = urllib.request.Request(f"{url}/v1/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                print(json.dumps(json.load(answer), indent=1))
            subprocess.run(show([*PENJING, "verify", str(package), "--url", url, "--rows", str(test)]), check=True)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
