"""The whole job on a table, Adult income: learn, measure, sign, serve, ask. It only types the commands that a user would type.

pip install --no-deps --require-hashes -r examples/kinds.lock
python examples/adult.py
"""

from __future__ import annotations

import csv

from steps import WORK, ask_row, data, penjing, served


def main() -> None:
    data("adult", str(WORK))
    test, run = WORK / "adult-test.csv", WORK / "runs" / "adult"
    penjing("run", WORK / "adult.csv", "--target", "income", "--test", test, "--run", run)
    with test.open(newline="", encoding="utf-8") as file:
        person = next(csv.DictReader(file))
    del person["income"]
    with served(run / "package") as url:
        ask_row(url, {name: float(value) if value.isdigit() else value for name, value in person.items()})
        penjing("verify", run / "package", "--url", url, "--rows", test)


if __name__ == "__main__":
    main()
