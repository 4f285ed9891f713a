"""Dump -> CleanEntry: rules as data, metadata, repair, sanitiser.

html -> parse -> outline -> strip -> write -> sanitise -> content
        (bs4)   (what is   (what    (what    (nh3)
                 there)     goes)    stays)
"""

from feedsvc.clean.cleaner import Cleaner
from feedsvc.clean.explain import Explanation
from feedsvc.clean.rules.causes import CAUSES
from feedsvc.clean.rules.pack import load_rules, packs_in
from feedsvc.clean.rules.rule import Rule, RuleSet
from feedsvc.clean.samples import failed_samples

__all__ = ["CAUSES", "Cleaner", "Explanation", "Rule", "RuleSet", "failed_samples", "load_rules", "packs_in"]
