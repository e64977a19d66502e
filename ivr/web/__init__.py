"""The desk: pages for those who sign in, and the API. What is served stands in one table, `ivr.web.routes`."""
