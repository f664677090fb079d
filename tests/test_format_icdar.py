"""ICDAR's Robust Reading challenges: pages of boxes and words, and lists of the images of words."""

import pytest

from helpers.format_folders import build, read_folder, write_images

FOUR_CORNERS = (
    "\ufeff5,4,50,5,51,12,4,11,Genaxis Theatre\r\n6,20,40,20,40,30,6,30,###\r\n6,30,40,30,40,39,6,39,[06], a\r\n"
)


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return folder


def read(folder, *images, **files):
    write_images(folder, *images)
    for name, text in files.items():
        write(folder, f"{name}.txt", text)
    return read_folder(folder, "icdar")


def test_four_corners_and_a_text_that_cannot_be_read(tmp_path):
    records, reasons = read(tmp_path, "img_1.png", gt_img_1=FOUR_CORNERS)
    record = records["img_1"]
    assert record.bboxes == [[4, 4, 51, 12], [6, 20, 40, 30], [6, 30, 40, 39]] and not reasons
    assert (record.labels, record.texts) == (["text"] * 3, ["Genaxis Theatre", "", "[06], a"])
    assert record.text == "Genaxis Theatre\n[06], a"


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ('5 4 50 12 "RED"\n6 20 40 30 "of "quotes""\n', ["RED", 'of "quotes"']),
        ('5, 4, 50, 12, "RED, blue"\n6, 20, 40, 30, "###"\n', ["RED, blue", ""]),
        (r'5, 4, 50, 12, "a \"b\" \\ c"' + '\n6, 20, 40, 30, "12"\n', [r'a "b" \ c', "12"]),
        ('5,4,50,4,50,12,5,12,"FOOD"\n6,20,40,20,40,30,6,30,"x"\n', ["FOOD", "x"]),
        ('5,4,50,4,50,12,5,12,"FOOD"\n6,20,40,20,40,30,6,30,x\n', ['"FOOD"', "x"]),
        ("5,4,50,4,50,12,5,12,Latin,FOOD, x\n6,20,40,20,40,30,6,30,Symbols,###\n", ["FOOD, x", ""]),
        ("5,4,50,4,50,12,5,12,Latin,FOOD\n6,20,40,20,40,30,6,30,x\n", ["Latin,FOOD", "x"]),
    ],
)
def test_lines_as_each_challenge_has_them(tmp_path, lines, texts):
    records, _ = read(tmp_path, "img_1.png", gt_img_1=lines)
    assert records["img_1"].bboxes == [[5, 4, 50, 12], [6, 20, 40, 30]] and records["img_1"].texts == texts


def test_images_in_a_folder_beside_and_files_without_words(tmp_path):
    write(tmp_path, "train/gt_img_1.txt", FOUR_CORNERS)
    write(tmp_path, "train/gt_gt_2.txt", "")
    records, reasons = read(tmp_path, "train/images/img_1.png", "train/images/gt_2.png")
    assert (list(records), reasons) == (["train/gt_2", "train/img_1"], {})
    assert records["train/gt_2"].text == "" and records["train/gt_2"].bboxes == []


def test_an_image_that_begins_with_gt_has_its_file(tmp_path):
    records, _ = read(tmp_path, "gt_1.png", gt_1=FOUR_CORNERS)
    assert list(records) == ["gt_1"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('5 4 50 "RED"', "line 4 is '5 4 50 \"RED\"', not x1,y1,x2,y2,x3,y3,x4,y4,text"),
        ("5,4,50,12,RED", "line 4 is '5,4,50,12,RED', not"),
        ("5,4,50,4,50,12,5", "line 4 is"),
        ("1,2,100,2,100,9,1,9,text", "leaves the page"),
    ],
)
def test_a_line_of_another_kind_rejects_the_page(tmp_path, line, reason):
    records, reasons = read(tmp_path, "a.png", "b.png", gt_a=FOUR_CORNERS, gt_b=FOUR_CORNERS + line)
    assert list(records) == ["a"] and reason in reasons["b"]


def test_a_list_of_words_is_a_page_a_line_and_coordinates_beside_it_are_passed_over(tmp_path, datasets_cache):
    words = '\ufeffword_1.png, "Genaxis, \\"T\\""\r\nword_2.png, "Canon"\r\n\r\nword_3.png,Arabic,سلام\r\n'
    write(tmp_path, "coords.txt", "word_1.png,377,117,463,117,465,130,378,130\n")
    records, reasons = read(tmp_path, "word_1.png", "word_2.png", "word_3.png", gt=words)
    assert {page: record.text for page, record in records.items()} == {
        "word_1": 'Genaxis, "T"',
        "word_2": "Canon",
        "word_3": "سلام",
    }
    assert not reasons and records["word_1"].bboxes == []
    assert [row["text"] for row in build("words", tmp_path)] == ['Genaxis, "T"', "Canon", "سلام"]


def test_bad_words_are_rejected_by_their_line(tmp_path):
    lines = 'a.png, "A"\nb.png, B\ngone.png, "C"\nd.png, "###"\n\nb.png, "x"\nb.png, "y"\n'
    records, reasons = read(tmp_path, "a.png", "b.png", "d.png", words=lines)
    assert list(records) == ["a"]
    assert reasons["words.txt#2"] == "line 2 is 'b.png, B', not IMAGE, \"text\""
    assert reasons["words.txt#3"].startswith("no image 'gone.png' in")
    assert reasons["words.txt#4"] == "line 4 is of a word that cannot be read (###): leave it out"
    assert reasons["b"] == "2 entries are of the image 'b': keep one of them"


def test_a_line_in_another_encoding_is_rejected_alone(tmp_path):
    (tmp_path / "gt.txt").write_bytes(b'a.png, "A"\nb.png, "caf\xe9"\n')
    records, reasons = read(tmp_path, "a.png", "b.png")
    assert list(records) == ["a"]
    assert reasons == {"gt.txt#2": "text is not UTF-8 at byte 11 (0xE9): save it as UTF-8"}
