"""How answers are decoded where nobody says otherwise."""

NO_REPEAT_NGRAM, NO_REPEAT_WINDOW = 20, 90  # as the model's authors decode single pages
# Where an answer is cut off: tokens, and seconds of its batch.
MAX_NEW_TOKENS = 4096
MAX_SECONDS = 600.0
# Pages of a batch where memory decides: more are no faster (the tiny base on a CPU, in batches of 48 and of 96).
MOST_PAGES = 48
# On a CPU. The tiny base takes 263 ms a page in batches of 8, 201 in batches of 16, 159 in batches of 48; but a large
# batch meets MAX_SECONDS sooner, and of the real model a page's cache has 0.6 GB by the end of the longest answer.
CPU_PAGES = 16
