"""How good the rules are: their labels beside the radiologists' MeSH codes of all Open-i reports.

The codes were assigned by people from findings and impression together, so both sections are labelled here. Eleven of
the 14 observations have codes of their own and are compared. Three are not: "No Finding" is no code ("normal" is also
denied by a spur or an old granuloma, which CheXpert does not count), "Enlarged Cardiomediastinum" is spread over the
heart's and the mediastinum's codes, ...
"""
