"""How answers are decoded where nobody says otherwise."""

NO_REPEAT_NGRAM, NO_REPEAT_WINDOW = 20, 90  # as the model's authors decode single pages
# Where an answer is cut off: tokens, and seconds of its batch.
MAX_NEW_TOKENS = 4096
MAX_SECONDS = 600.0
BATCH_SIZE = 8  # pages
