"""The whole job on real drug reviews: learn, measure, sign, serve, ask. It only types the commands that a user would type."""

from __future__ import annotations

from steps import WORK, ask_row, data, penjing, served

QUESTION = "It took my headache away within an hour and I had no side effects at all. I would take it again."


def main() -> None:
    data("reviews", str(WORK))
    test, run = WORK / "reviews-test.csv", WORK / "runs" / "reviews"
    penjing("run", WORK / "reviews.csv", "--target", "rating", "--test", test, "--run", run)
    with served(run / "package") as url:
        ask_row(url, {"review": QUESTION})
        penjing("verify", run / "package", "--url", url, "--rows", test)


if __name__ == "__main__":
    main()
