"""Annotations of programs that are not read: each is refused by its name, with what to export or convert instead."""

import json

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, choose_format, page_reader
from data_scripts.formats.foreign import foreign_text
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

POINT = [[1, 2], [3, 4]]
LABELME = {"version": "5.4", "flags": {}, "shapes": [{"label": "x", "points": POINT}], "imagePath": "a.png"}
VOC = "<annotation><folder>x</folder><filename>a.png</filename><object><name>cat</name></object></annotation>"
TEI = '<?xml version="1.0"?>\n<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader/></TEI>'
VIA_REGION = {"shape_attributes": {"name": "rect"}, "region_attributes": {}}
VIA_FILE = {"filename": "a.png", "size": 1, "regions": [VIA_REGION]}
WORDS = [{"box": [1, 2, 3, 4], "text": "x"}]
DOCBANK = "Word\t1\t2\t3\t4\t0\t0\t0\tABCDEF+CMR10\tparagraph\n##LTLine##\t1\t2\t3\t4\t0\t0\t0\tdefault\tfigure\n"
SEGMENTS = '#\n108 225 132 0 1 0 0 1 3 "F"\n\n#\n82 174 214 1 3 0 2 1 4 "T"\n'
TSV = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n1\t1\t0\t0\n"
LLAMA = {"mine": {"file_name": "train.json", "formatting": "sharegpt"}}
MIN = [{"id": 1, "image": "a.png", "label": [], "transcription": "x", "annotator": 1, "annotation_id": 2}]
LAYOUT = {"textAnchor": {"textSegments": []}}

# (what it is called, its file, what is in it, what to do).
EVERY = [
    ("LabelMe", "a.json", LABELME, "convert it to COCO"),
    ("LabelMe", "a.json", LABELME | {"shapes": []}, "convert it to COCO"),
    ("Pascal VOC", "a.xml", VOC, "build that as coco"),
    ("YOLO", "a.txt", "0 0.5 0.5 0.25 0.1\n12 .1 0.25 1 1.000000\n", "build that as coco"),
    ("YOLO", "a.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n", "build that as coco"),
    ("YOLO", "classes.txt", "cat\ndog\n", "build that as coco"),
    ("YOLO", "data.yaml", "nc: 1\nnames: [cat]\n", "build that as coco"),
    ("Amazon Textract", "a.json", {"DocumentMetadata": {"Pages": 1}, "Blocks": [{"BlockType": "PAGE"}]}, "hOCR"),
    ("Amazon Textract", "a.json", {"Blocks": [{"BlockType": "PAGE"}]}, "hOCR"),
    ("Amazon Textract", "a.json", [{"Blocks": [], "DocumentMetadata": {}}], "hOCR"),
    ("Google Document AI", "a.json", {"uri": "", "mimeType": "x", "text": "x", "pages": []}, "hOCR"),
    ("Google Document AI", "a.json", {"pages": [{"pageNumber": 1, "layout": LAYOUT}], "text": "x"}, "hOCR"),
    ("Google Document AI", "a.json", {"document": {"pages": [{"layout": LAYOUT}]}}, "hOCR"),
    ("Google Cloud Vision", "a.json", {"responses": [{"fullTextAnnotation": {"pages": []}}]}, "hOCR"),
    ("Google Cloud Vision", "a.json", {"textAnnotations": [], "fullTextAnnotation": {}}, "hOCR"),
    ("Azure Document Intelligence", "a.json", {"status": "succeeded", "analyzeResult": {"pages": []}}, "hOCR"),
    ("Azure Document Intelligence", "a.json", {"apiVersion": "2023", "modelId": "x", "content": "x"}, "hOCR"),
    ("VIA (VGG Image Annotator)", "a.json", {"_via_settings": {}, "_via_img_metadata": {}}, "COCO"),
    ("VIA (VGG Image Annotator)", "a.json", {"a.png123": VIA_FILE}, "COCO"),
    ("VIA (VGG Image Annotator)", "a.csv", "#filename,file_size,file_attributes,region_count\n", "COCO"),
    ("Label Studio's JSON-MIN", "a.json", MIN, "export JSON and build it as label_studio"),
    ("FUNSD", "a.json", {"form": [{"box": [1, 2, 3, 4], "words": WORDS, "linking": []}]}, "prompt and target"),
    ("XFUND", "a.json", {"lang": "de", "documents": [{"id": "a", "document": WORDS}]}, "prompt and target"),
    ("CORD", "a.json", {"valid_line": [{"words": WORDS}], "meta": {}}, "prompt and target"),
    ("CORD", "a.json", {"gt_parse": {"total": "9"}}, "prompt and target"),
    ("Donut's metadata", "metadata.jsonl", {"file_name": "a.png", "ground_truth": "{}"}, "prompt and target"),
    ("key facts as JSON", "a.txt", '{"company": "X",\n "total": "9"}', "prompt and target"),
    ("DocBank", "a.txt", DOCBANK, "MSCOCO_Format_Annotation"),
    ("ICDAR's text segmentation", "a.txt", SEGMENTS, "gt_NAME.txt"),
    ("CTW1500", "a.txt", "1,2,30,4,30,9,20,9,1,9,####Hello\n", "NAME.json with text, bboxes and labels"),
    (
        "DOTA",
        "a.txt",
        "imagesource:GoogleEarth\ngsd:null\n1 2 9 2 9 8 1 8 plane 0\n",
        "COCO has boxes and labels alone",
    ),
    (
        "Total-Text",
        "a.txt",
        "x: [[1 9 9 1]], y: [[2 2 8 8]], ornt: [u'h'], transcriptions: [u'A']\n",
        "NAME.json with text, bboxes and labels",
    ),
    ("TEI", "a.xml", TEI, "PAGE-XML or ALTO"),
    ("IAM", "a.xml", '<form id="a01"><handwritten-part/></form>', "build it as pairs"),
    (
        "IAM",
        "words.txt",
        "#--- words.txt ------#\n#\na01-000u-00-00 ok 154 1 408 768 AT A\n",
        "build it as pairs",
    ),
    ("Tesseract's box files", "a.box", "W 1 2 3 4 0\no 3 2 5 4 0\n", "tesseract IMAGE NAME hocr"),
    ("Tesseract's TSV", "a.tsv", TSV, "tesseract IMAGE NAME hocr"),
    ("LLaMA-Factory's list of datasets", "dataset_info.json", LLAMA, "read as jsonl where they are chats"),
]


def refusal(folder):
    """Why the folder is not read, by "auto" or page by page; no page may be read."""
    tree = list_files(folder)
    try:
        format = choose_format("auto", [tree])
    except WorkError as error:
        return str(error)
    pages, reasons = FORMATS[format].list_pages(tree, tree), []
    for page in pages:
        with pytest.raises(RecordError) as raised:
            page_reader(format, None, {})(page)
        reasons.append(str(raised.value))
    return "\n".join(reasons)


@pytest.mark.parametrize(("name", "file", "content", "advice"), EVERY)
def test_it_is_refused_by_its_name_with_what_to_do(tmp_path, name, file, content, advice):
    text = content if isinstance(content, str) else json.dumps(content)
    (write_images(tmp_path, "a.png") / file).write_text(text)
    told = refusal(tmp_path)
    assert f"looks like {name}, which is not read: " in told
    assert advice in told.partition(f"looks like {name}")[2]


def test_the_readme_names_every_one(repo):
    told = (repo / "data_scripts/README.md").read_text().partition("Other annotations are refused by their name")[2]
    told = " ".join(told.partition("\n\n")[0].split())
    assert not {name for name, *_ in EVERY if name not in told} - {"key facts as JSON"}


@pytest.mark.parametrize(
    "files",
    [
        {"a.png": None, "labels/a.txt": "0 0.5 0.5 0.25 0.1\n", "labels/b.txt": "", "classes.txt": "cat\n"},
        {"images/a.png": None, "labels/a.txt": "0 0.5 0.5 0.25 0.1\n", "data.yaml": "names: [cat]\n"},
        {"images/a.png": None, "labels/b.txt": "0 0.5 0.5 0.25 0.1\n"},
    ],
)
def test_yolo_in_folders_is_told(tmp_path, files):
    for name, content in files.items():
        if content is None:
            write_images(tmp_path, name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
    tree = list_files(tmp_path)
    try:
        format = choose_format("auto", [tree])
        page = FORMATS[format].list_pages(tree, tree)[0]
        page_reader(format, None, {})(page)
    except (WorkError, RecordError) as error:
        assert "looks like YOLO, which is not read" in str(error)
    else:
        pytest.fail("was read")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"a.json": json.dumps(LABELME), "b.json": json.dumps(LABELME), "README.md": "# a"}, "LabelMe"),
        ({"a.txt": "0 0.5 0.5 0.25 0.1\n", "b.txt": "0 0.5 0.5 0.25 0.1\n", "c.txt": ""}, "YOLO"),
        ({"metadata.jsonl": '{"file_name": "a.png", "ground_truth": "{}"}\n'}, "Donut's metadata"),
    ],
)
def test_a_folder_of_nothing_else_is_refused_once_before_it_is_built(tmp_path, datasets_cache, files, name):
    folder = write_images(tmp_path / "pages", "a.png", "b.png", "c.png")
    for file, text in files.items():
        (folder / file).write_text(text)
    with pytest.raises(WorkError) as raised:
        build("foreign", folder)
    assert str(raised.value).startswith("no annotations that are read in ")
    assert str(raised.value).count(f"looks like {name}, which is not read") == 1


@pytest.mark.parametrize("options", [[], ["--format", "json"]])
def test_a_page_among_them_is_read(tmp_path, datasets_cache, options):
    folder = write_images(tmp_path / "pages", "a.png", "b.png")
    write_json(folder / "a.json", LABELME)
    write_json(folder / "b.json", {"text": "B"})
    (row,) = build("mixed", folder, "--on_error", "skip", "--max_bad", 1, *options)
    assert row["id"] == "b"


def test_a_page_with_boxes_may_have_the_keys_of_another_program(tmp_path):
    write_json(tmp_path / "a.json", LABELME | {"bboxes": [[1, 2, 30, 30]], "labels": ["text"]})
    assert list(read_folder(write_images(tmp_path, "a.png"), "json")[0]) == ["a"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "data/train-00000-of-00001.parquet",
            "Parquet files need no build: --dataset {0}, or ocr2_hf.load_dataset('{0}')",
        ),
        ("pages.zip", "{0}/pages.zip is an archive: unpack it first"),
        ("deep/pages.tar.gz", "{0}/deep/pages.tar.gz is an archive: unpack it first"),
    ],
)
def test_what_is_packed_is_told_with_what_to_do(tmp_path, name, told):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"PK")
    (tmp_path / "README.md").write_text("# data")
    with pytest.raises(WorkError) as raised:
        choose_format("auto", [list_files(tmp_path)])
    assert str(raised.value) == f"no annotations in {tmp_path}: {told.format(tmp_path)}"


def test_pascal_voc_with_its_lists_of_names_is_told(tmp_path, datasets_cache):
    write_images(tmp_path, "JPEGImages/a.png")
    for name, text in {"Annotations/a.xml": VOC, "ImageSets/Main/train.txt": "a\n", "labels.txt": "cat\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(WorkError, match=r"no annotations that are read in .*a\.xml looks like Pascal VOC"):
        build("voc", tmp_path)


def test_the_file_that_is_told_is_no_other(tmp_path):
    write_images(tmp_path, "a.png")
    (tmp_path / "notes.xml").write_text("<notes/>")
    (tmp_path / "words.tsv").write_text("a\tb\n")
    with pytest.raises(WorkError) as raised:
        choose_format("auto", [list_files(tmp_path)])
    assert "which is not read" not in str(raised.value)


def test_document_ai_is_no_plain_page_though_it_has_a_text(tmp_path):
    write_json(tmp_path / "a.json", {"uri": "", "mimeType": "image/png", "text": "x", "pages": []})
    (tmp_path / "a.txt").write_text("the page")
    records, _ = read_folder(write_images(tmp_path, "a.png"), "pairs")
    assert records["a"].text == "the page"


def test_chats_beside_the_list_of_llama_factory_are_read(tmp_path):
    chat = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "images": ["a.png"]}
    write_json(tmp_path / "dataset_info.json", LLAMA)
    write_json(tmp_path / "train.json", [chat])
    records, reasons = read_folder(write_images(tmp_path, "a.png"), "jsonl")
    assert (records["a"].target, reasons) == ("A", {})


@pytest.mark.parametrize("text", ["", "\n", "#\n#\n", "a\n0 0.5 0.5 0.2 0.1", "1 2 3", "{", "{}x", "\t" * 9])
def test_a_text_is_no_other_programs(text):
    assert foreign_text(text) is None
