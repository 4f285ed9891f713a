"""Learning: lines of articles are sighted and counted; lines that recur are learned as blocks, and go.

sightings -> census, with forms -> learned
"""
