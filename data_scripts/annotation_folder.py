"""The loading script: page records -> Arrow shards with the original image bytes embedded.

`build_dataset.py` is the command around it. Only the class lives here: `datasets` replaces `open`,
`os.path` and `pathlib.Path` in a builder's module by versions for remote files, so everything that touches
a file is elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import datasets
import pyarrow as pa
from datasets.builder import Key

from data_scripts.build_plan import PageOptions
from data_scripts.formats.format import ListedPage
from data_scripts.page_batches import has_rejects, read_batches, write_report
from ocr2_hf.data.columns import FEATURES

_EMPTY = FEATURES.arrow_schema.empty_table()


@dataclass
class AnnotationFolderConfig(datasets.BuilderConfig):
    """What to build: the pages of each split, none empty; and the folder that takes the reports."""

    options: PageOptions = PageOptions()
    pages: dict[str, list[ListedPage]] = field(default_factory=dict)
    stop_at_reject: bool = False
    report_folder: str = ""


class AnnotationFolder(datasets.ArrowBasedBuilder):
    """Checked pages of an annotation folder; rejected pages are in the reports, not in the shards."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = AnnotationFolderConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=FEATURES)

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        generators = []
        for split, pages in self.config.pages.items():
            generator = datasets.SplitGenerator(name=split, gen_kwargs={"pages": pages, "split": split})
            generator.split_info.num_examples = len(pages)  # the length of the progress bar
            generators.append(generator)
        return generators

    def _generate_tables(self, pages: list[ListedPage], split: str) -> Iterator[tuple[Key, pa.Table]]:
        batches = read_batches(list(pages), split, self.config.options)
        for number, (table, report) in enumerate(batches):
            write_report(self.config.report_folder, report)
            if self.config.stop_at_reject and has_rejects(self.config.report_folder):
                return
            if table.num_rows:
                yield Key(0, number), table
            if table.num_rows == 1:
                # `datasets` gathers tables of one row up to a thousand, however large, until another table comes.
                yield Key(0, number), _EMPTY
