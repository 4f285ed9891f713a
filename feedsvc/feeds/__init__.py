"""From the store to the bytes at each address.

    catalogue    the entries that each feed holds, by the `plan`
    assemble     FeedDocument                                        archives
    guard        compare the entries with what readers know
    resources    the feeds in their formats, and the pages           formats/, pages/
    publisher    render, once for each change                        deltas
    represent    hash and compress
    websub       tell hubs

`publication` runs the flow. Beside it stand `export` (the static site) and `search` (answers of the search page).
"""
