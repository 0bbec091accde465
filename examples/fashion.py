"""The whole job on a folder of images, Fashion-MNIST: learn, measure, sign, serve, ask. It only types the commands that a user would type.

apt install dataset-fashion-mnist
python examples/fashion.py [FOLDER OF THE DATA SET]
"""

from __future__ import annotations

import shlex
import sys

from steps import WORK, ask, data, penjing, served

TIERS = "tiers=[pixel-linear, {learner: backbone, model: efficientnet-lite0, tune: frozen, size: 96}]"
"""Two cheap ones: without this line the backbone is tuned as well, which takes long on few cores."""


def main() -> None:
    data("fashion", str(WORK), *sys.argv[1:])
    folder, run = WORK / "fashion", WORK / "runs" / "fashion"
    penjing("run", folder, "--run", run, "--set", TIERS)
    image = next((folder / "test" / "ankle-boot").iterdir())
    with served(run / "package") as url:
        ask(url, image.read_bytes(), "image/png", f"-H 'Content-Type: image/png' --data-binary @{shlex.quote(str(image))}")
        penjing("verify", run / "package", "--url", url, "--rows", folder)


if __name__ == "__main__":
    main()
