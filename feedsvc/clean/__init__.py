"""Dump -> CleanEntry, by rules as data.

The flow, each step with its module, and the modules that it uses:

    tree       parse
    outline    find leaves and lines, and hits of rules on elements   rules/matcher
    strip      decide which hits take something out                   dateline, learning/
    ledger     name the nodes that go; a Removal for each hit
    write      repair and write the nodes that stay                   repair, proxies, videos
    sanitise   let nothing harmful out                                elements

`cleaner` runs the flow, again until nothing changes, and adds `metadata` and `titles`. Beside the flow stand `explain`
(removals in place), `samples` (tests of packs), `drift` (changes in how rules match) and `sandbox` (a process for it).
"""

from feedsvc.clean.cleaner import Cleaner
from feedsvc.clean.explain import Explanation
from feedsvc.clean.rules.causes import CAUSES
from feedsvc.clean.rules.pack import load_rules, packs_in
from feedsvc.clean.rules.rule import Rule, RuleSet
from feedsvc.clean.samples import failed_samples

__all__ = ["CAUSES", "Cleaner", "Explanation", "Rule", "RuleSet", "failed_samples", "load_rules", "packs_in"]
