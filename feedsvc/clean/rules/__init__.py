"""Rules as data, from a pack to a matcher.

    pack        read TOML, with
    rule        each rule checked, and its
    patterns    regular expressions, tried many at once, by their
    literals    texts that every match holds
    selectors   CSS selectors
    matcher     rules compiled for dumps of one host and source

Conditions on the content of an element are in `clean.outline`, on a line in `clean.strip`.
`affects` tells from literals too which dumps changed rules may match. `causes` names removals without a rule.
"""
