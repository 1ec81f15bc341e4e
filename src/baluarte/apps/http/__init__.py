"""HTTP/1.1 of both planes: connections on uvloop, heads read by llhttp, workers of one socket."""
