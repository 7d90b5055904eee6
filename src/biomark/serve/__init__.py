"""`biomark serve`: annotation and evaluation over HTTP, and the page.

A request goes through the rooms in this order:

    guard      who may ask, how much and how long; metrics; nothing of a request in a log
    app        the routes
    inputs     a request's texts, documents or content → documents
    worker     the documents of all open requests → shared batches of one thread, which owns the models
    outputs    documents → JSON, PubTator or BioC JSON

`server` runs the whole, `problems` are its errors. All but `settings` and this module need the extra `serve`.
"""
