"""The service over HTTP: who may do what, requests in, answers and problems out. Each route is about three lines."""
