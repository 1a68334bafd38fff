"""Which noisy file belongs to which clean one."""

from pathlib import Path

import pytest

from jaxae.data.pair_names import match
from jaxae.errors import UserError
from jaxae.files import name_some


def paths(*names):
    return [Path(name) for name in names]


@pytest.mark.parametrize(
    ("noisy", "clean", "how"),
    [
        (("1.png", "a/2.jpg"), ("1.tif", "a/2.png"), ""),
        (
            ("noisy_1.png", "noisy_2.png"),
            ("clean_1.png", "clean_2.png"),
            ", 'noisy_' of the noisy ones and 'clean_' of",
        ),
        (("1.png", "2.png"), ("1_gt.png", "2_gt.png"), ", '_gt' of the clean ones ignored"),
        (("1_noisy.png", "2_noisy.png"), ("1.png", "2.png"), ", '_noisy' of the noisy ones ignored"),
        (("ISO6400-1.png", "ISO6400-2.png"), ("ISO100-1.png", "ISO100-2.png"), ", 'ISO6400-' of the noisy ones and"),
        (("img_1.png", "img_2.png"), ("img_1.png", "img_2.png"), ""),
    ],
)
def test_names_match_but_for_suffixes_and_a_word_that_all_have(noisy, clean, how):
    matched = match(paths(*noisy), paths(*clean))
    assert matched.pairs == list(zip(paths(*noisy), paths(*clean), strict=True))
    assert matched.how.startswith(how) if how else matched.how == ""
    assert matched.alone == []


def test_the_order_of_the_names_is_that_of_the_noisy_ones_whatever_the_clean_ones_have():
    matched = match(paths("b.png", "a.png", "c.png"), paths("a.png", "b.png", "c.png"))
    assert matched.pairs == [(path, path) for path in paths("b.png", "a.png", "c.png")]


def test_who_has_no_partner_is_named_and_many_are_counted():
    matched = match(paths("1.png", "2.png", "x.png"), paths("1.png", "2.png", "y.png"))
    assert matched.alone == paths("x.png", "y.png")
    assert name_some(matched.alone) == "x.png, y.png"
    many = match(paths("1.png", *(f"n{i}.png" for i in range(13))), paths("1.png"))
    assert name_some(many.alone).endswith(" and 3 more")


def test_a_word_is_left_aside_only_where_it_leaves_names_apart():
    matched = match(paths("a_1.png", "a_2.png", "b_1.png"), paths("a_1.png", "b_1.png"))
    assert matched.pairs == [(path, path) for path in paths("a_1.png", "b_1.png")]


def test_two_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"1\.png and 1\.jpg are called alike"):
        match(paths("1.tif", "2.png"), paths("1.png", "1.jpg", "2.png"))


def test_names_alike_but_for_their_suffixes_match_where_they_are_equal():
    names = paths("1.jpg", "1.png", "2.png")
    assert match(names, names).pairs == [(path, path) for path in names]
    assert match(paths("1.png", "3.png"), paths("1.jpg", "1.png", "3.tif")) == (
        list(zip(paths("1.png", "3.png"), paths("1.png", "3.tif"), strict=True)),
        "",
        paths("1.jpg"),
    )


def test_no_pair_at_all_is_refused():
    with pytest.raises(UserError, match=r"no noisy file has a clean one of the same name: a\.png and x\.png differ"):
        match(paths("a.png", "b.png"), paths("x.png", "y.png"))
