"""What part of some pages one of several processes takes."""

from dataclasses import replace

from torch.utils.data import Dataset

from ocr2_hf.data.collator import Example


class ProcessShare(Dataset):
    """Every `processes`-th page, from `process` on; all processes get equally many, filled up with padding examples."""

    def __init__(self, pages: Dataset, process: int, processes: int):
        self.pages, self.process, self.processes = pages, process, processes

    def __len__(self) -> int:
        return -(-len(self.pages) // self.processes)

    def __getitem__(self, index: int) -> Example:
        page = index * self.processes + self.process
        if page < len(self.pages):
            return self.pages[page]
        return replace(self.pages[0], padding=True)
