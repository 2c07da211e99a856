"""Write fixtures/translate/*/expected (and back, where it is) anew: `python -m tests.translators.write_expected`, then
read the difference."""

from __future__ import annotations

from tests.translators.test_convert import CASES, FOLDER


def main() -> None:
    from nlmevae_translators import convert

    for case in CASES:
        folder = FOLDER / case / "expected"
        folder.mkdir(exist_ok=True)
        for name, text in convert(FOLDER / case / "run.ctl").files.items():
            (folder / name).write_text(text)
        if (FOLDER / case / "back").is_dir():
            for name, text in convert(folder / "run.mlxtran", to="nonmem").files.items():
                (FOLDER / case / "back" / name).write_text(text)


if __name__ == "__main__":
    main()
