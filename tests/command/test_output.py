import json

from jaxae.command import output


def test_a_table_shows_brackets_as_they_are(capsys):
    output.print_table("a [b] title", {"name": ["x[1].png", "[red]"], "PSNR [dB]": ["1.00", "20.00"]}, {("name", 1)})
    printed = capsys.readouterr().out
    for text in ("a [b] title", "x[1].png", "[red]", "PSNR [dB]", " 1.00 ", "20.00"):
        assert text in printed


def test_json_is_read_back(capsys):
    value = {"rows": [1, 2.5, None, "text"]}
    output.print_json(value)
    assert json.loads(capsys.readouterr().out) == value
