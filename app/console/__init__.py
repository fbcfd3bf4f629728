"""The service in a browser, under /console: pages over what the API shows and does, made by the server."""
