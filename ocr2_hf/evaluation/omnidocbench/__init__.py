"""OmniDocBench v1.5, end-to-end (Ouyang et al., arXiv 2412.07626): a directory of markdown scored page by page.

The rules are those of the official scorer at v1.5 (github.com/opendatalab/OmniDocBench, released 2025-09-25, match
method `quick_match`), its surprises included, so that the values are the same; each module says which of its files
the rules are from. v1.6 parses and matches otherwise: its values do not compare.

ground_truth -> markdown -> matching (normalization) -> page_score -> scores
"""
