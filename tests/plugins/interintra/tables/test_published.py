"""The published figures are the paper's, to the digit."""

import pytest

from lmkit_interintra.tables.published import ALL, SPLITS, TABLES

PRINTED = {
    "table1": """
        Baseline 10 3.41 6.59
        w. Inter-Subject 10 3.10 6.24
        w. Cycle 10 3.12 6.28
        Ours-All 10 3.08 6.20
        Ours-All 30 2.89 6.08
        Ours-All 50 2.85 6.04
    """,
    "table3": """
        VGG-19 10 3.23 6.42
        L_R only 10 7.87 14.98
        L_P only 10 3.25 6.28
        Ours-All 10 3.08 6.20
    """,
}


@pytest.mark.parametrize("name", PRINTED)
def test_rows_are_as_printed(name):
    lines = [
        f"{row.label} {row.landmarks} {row.nme['MAFL']:.2f} {row.nme['AFLW']:.2f}"
        for row in TABLES[name].rows
    ]
    assert lines == [line.strip() for line in PRINTED[name].strip().splitlines()]


def test_few_labelled_images_are_as_printed():
    assert TABLES["table2"].labelled == {
        1: 9.03, 5: 7.50, 10: 7.09, 100: 3.71, 500: 3.23, 1000: 3.17, 5000: 3.09, None: 3.08
    }  # fmt: skip
    assert SPLITS == {"MAFL": (18997, 1000), "AFLW": (10122, 2991)}


def test_the_tables_share_one_row():
    shared = [next(row for row in table.rows if row.name == ALL) for table in TABLES.values()]
    assert len(shared) == 3
    assert len(set(shared)) == 1


def test_the_rows_have_the_names_they_are_asked_for_by():
    assert [row.name for row in TABLES["table1"].rows] == [
        *("baseline", "inter-subject", "cycle", "all", "all-30", "all-50")
    ]
    assert [row.name for row in TABLES["table3"].rows] == [
        *("vgg19", "mse-only", "perceptual-only", "all")
    ]
