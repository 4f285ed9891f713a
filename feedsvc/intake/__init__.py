"""From a watched folder to the store.

    queue        the thread: changes, a batch at a time
    ingest       the way of a batch
    read         a path -> the bytes of a dump file
    cleanings    the jobs that are being cleaned
    write        rows, in one transaction
    decide       added, updated, unchanged or duplicate

Beside the flow stand `restore` (of removals), and `rules_diff` with `entry_diff` (entries that other rules change).
"""
