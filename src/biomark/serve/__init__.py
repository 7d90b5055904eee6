"""`biomark serve`: annotation and evaluation over HTTP, and the web page.

A request passes through the modules in this order:

    guard      checks tokens and limits, counts metrics, and keeps the content of requests out of logs
    app        the routes
    inputs     converts a request's texts, documents or content into documents
    worker     annotates the documents of all open requests in shared batches, in one thread that owns the models
    outputs    converts documents into JSON, PubTator or BioC JSON

`server` runs the service, and `problems` has its errors. All modules but this one and `settings` need the extra
`serve`.
"""
