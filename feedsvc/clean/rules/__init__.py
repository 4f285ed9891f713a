"""Rules: packs are read, their rules checked, compiled and matched.

pack (TOML) -> rule, with patterns and selectors -> matcher; affects, by literals, tells which dumps rules may match
"""
