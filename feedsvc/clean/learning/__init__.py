"""Learns boilerplate that recurs in the dumps of a source.

sightings   lines of an article: their text, shape and place
census      counts of sightings, and the verdict on each block, with
forms       marks of an article and of a page in words and shapes
learned     the blocks that go, given to the cleaner
"""
