"""Dump -> CleanEntry: rules as data, metadata, repair, sanitiser.

html -> parse -> outline -> strip -> write -> sanitise -> content
        (bs4)   (what is   (what    (what    (nh3)
                 there)     goes)    stays)
"""

from feedsvc.clean.causes import CAUSES
from feedsvc.clean.cleaner import Cleaner
from feedsvc.clean.explain import Explanation
from feedsvc.clean.rules import Rule, RuleSet, load_rules

__all__ = ["CAUSES", "Cleaner", "Explanation", "Rule", "RuleSet", "load_rules"]
